/** The path of every property of a JSON Schema or OpenAPI document that has no description. */
export function undescribedProperties(part: unknown, path = ''): readonly string[] {
  if (typeof part !== 'object' || part === null) return [];
  return Object.entries(part).flatMap(([key, value]: [string, unknown]) => {
    const isListOfProperties = key === 'properties' && !path.endsWith('/properties');
    return [
      ...(isListOfProperties
        ? namesWithoutDescription(value).map((name) => `${path}/${name}`)
        : []),
      ...undescribedProperties(value, `${path}/${key}`),
    ];
  });
}

function namesWithoutDescription(properties: unknown): readonly string[] {
  const fields = properties as Readonly<Record<string, { description?: string; $ref?: string }>>;
  return Object.entries(fields)
    .filter(([, { description = '', $ref }]) => description === '' && $ref === undefined)
    .map(([name]) => name);
}
