import type { Channel } from './callback.ts';
import { AppError } from './errors.ts';

/** The actor of a change: the worker, a backend, an operator, or the gateway through a callback. */
export interface Actor {
  readonly type: 'worker' | 'backend' | 'operator' | 'gateway';
  readonly id: string;
}

/**
 * The only keys that an audit row's `detail` may hold. Their values are counts, instants, rule
 * names and codes of closed sets, so none can carry personal data or a secret.
 */
const auditDetailKeys = [
  'attempt',
  'cancelStatus',
  'cause',
  'daysLeft',
  'deadlineExtended',
  'eventType',
  'expiresAt',
  'generation',
  'isLate',
  'lifeLeftPercent',
  'methods',
  'paths',
  'query',
  'rawStatus',
  'reconcileStep',
  'refusalScope',
  'replayOf',
  'responseStatus',
  'redirectHost',
  'proof',
  'resubmitPolicy',
  'scopes',
  'signatureList',
  'signatureVerdict',
  'supersedes',
] as const;

/** A key of an audit row's `detail`. */
export type AuditDetailKey = (typeof auditDetailKeys)[number];

/** The detail of an audit row, limited to the allowed keys. */
export type AuditDetail = Partial<
  Record<AuditDetailKey, string | number | boolean | readonly string[] | null>
>;

/** The columns of an audit row that describe the cause of a change, not the change itself. */
export interface AuditContext {
  readonly actor: Actor;
  readonly queue?: string | undefined;
  readonly jobId?: string | undefined;
  readonly attempt?: number | undefined;
  readonly channel?: Channel | 'create_reply' | 'query' | undefined;
  readonly evidenceId?: string | undefined;
  readonly evidenceDigest?: string | undefined;
  readonly reason?: string | undefined;
  readonly gatewayCode?: string | undefined;
  readonly traceId?: string | undefined;
  readonly detail?: AuditDetail | undefined;
}

/** Throws when a detail holds a key that is not allowed: the types do not stop extra keys. */
export function assertAuditDetail(detail: AuditDetail): void {
  const foreign = Object.keys(detail).filter(
    (key) => !(auditDetailKeys as readonly string[]).includes(key),
  );
  if (foreign.length > 0) {
    throw new AppError('internal', 'An audit detail holds keys that are not allowed.', {
      paths: foreign,
    });
  }
}
