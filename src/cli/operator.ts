import { userInfo } from 'node:os';
import type { Actor } from '../domain/audit-entry.ts';

/** The actor of this command in the audit trail: the operating system's user, or `cli`. */
export const operator: Actor = { type: 'operator', id: userName() ?? 'cli' };

/** Undefined in a container that runs under a user id without a name. */
function userName(): string | undefined {
  try {
    return userInfo().username || undefined;
  } catch {
    return undefined;
  }
}
