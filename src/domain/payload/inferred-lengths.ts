/**
 * The lengths that the gateway probably takes. The vendor publishes them only for fields of the
 * same meaning in another interface, so a longer value is sent anyway.
 */
const inferredLengths: Readonly<Record<string, number>> = {
  'order.methods': 50,
  'order.redirectUrl': 500,
  'order.notifyUrl': 500,
  'order.ip': 50,
  'billing.firstname': 50,
  'billing.lastname': 50,
  'billing.email': 50,
  'billing.phone': 50,
  'billing.state': 100,
  'billing.city': 500,
  'billing.address': 500,
  'billing.zip': 50,
};

const limits = Object.entries(inferredLengths).map(([path, lengthMax]) => {
  const [node = '', field = ''] = path.split('.');
  return { path, node, field, lengthMax };
});

/** The paths of the fields that are longer than the gateway probably takes, without values. */
export function fieldsBeyondInferredLength(request: object): readonly string[] {
  return limits
    .filter(({ node, field, lengthMax }) => {
      const value = propertyOf(propertyOf(request, node), field);
      return typeof value === 'string' && value.length > lengthMax;
    })
    .map(({ path }) => path);
}

function propertyOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return (value as Readonly<Record<string, unknown>>)[key];
}
