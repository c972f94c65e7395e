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

/** The paths of the fields that are longer than the gateway probably takes, without values. */
export function fieldsBeyondInferredLength(request: object): readonly string[] {
  return Object.entries(inferredLengths).flatMap(([path, lengthMax]) => {
    const value = textAt(request, path.split('.'));
    return value !== undefined && value.length > lengthMax ? [path] : [];
  });
}

function textAt(value: unknown, [key, ...rest]: readonly string[]): string | undefined {
  if (key === undefined) return typeof value === 'string' ? value : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  return textAt(new Map(Object.entries(value)).get(key), rest);
}
