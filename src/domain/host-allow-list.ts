/**
 * Whether a host name is in a list of names. `*.example.com` stands for every name below example.com and for none
 * beside it: `notexample.com` does not match.
 */
export function isHostAllowed(hostname: string, allowed: readonly string[]): boolean {
  const host = hostname.toLowerCase();
  return allowed.some((entry) => {
    const pattern = entry.toLowerCase();
    return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : host === pattern;
  });
}
