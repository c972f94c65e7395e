const everyMs = 25;
/** Only a hung test waits this long: it is no assertion on time, and a loaded machine is slow. */
const patienceMs = 60_000;

/**
 * Polls `look` until it returns a value other than undefined and false, and returns that value.
 * Throws an error with `label` after `timeoutMs` milliseconds.
 */
export async function eventually<Value>(
  label: string,
  look: () => Promise<Value | undefined | false> | Value | undefined | false,
  timeoutMs = patienceMs,
): Promise<Value> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`did not happen in time: ${label}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
