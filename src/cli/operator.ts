import { userInfo } from 'node:os';
import type { Actor } from '../domain/audit-entry.ts';

/** Whoever runs this command, for the audit trail: the user of the operating system, or `cli` where that has no name for it. */
export const operator: Actor = { type: 'operator', id: userName() ?? 'cli' };

/** A container may run under a number that no user has. */
function userName(): string | undefined {
  try {
    return userInfo().username || undefined;
  } catch {
    return undefined;
  }
}
