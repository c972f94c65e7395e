/** Runs `start` once for all who ask under the same key while it runs. */
export async function singleFlight<Value>(
  flights: Map<string, Promise<Value>>,
  key: string,
  start: () => Promise<Value>,
): Promise<Value> {
  const flying = flights.get(key);
  if (flying !== undefined) return await flying;
  const flight = start().finally(() => flights.delete(key));
  flights.set(key, flight);
  return await flight;
}
