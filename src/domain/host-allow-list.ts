/**
 * Whether a list of host names allows a host. `*.example.com` allows every name below example.com;
 * it allows neither `example.com` itself nor `notexample.com`.
 */
export function isHostAllowed(hostname: string, allowed: readonly string[]): boolean {
  const host = hostname.toLowerCase();
  return allowed.some((entry) => {
    const pattern = entry.toLowerCase();
    return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : host === pattern;
  });
}
