/**
 * The error codes of Redis, which begin its error replies. The rest of a reply may quote arguments
 * of the command, so it is never shown.
 */
const redisCauses =
  /\b(READONLY|UNBLOCKED|OOM|LOADING|MASTERDOWN|CLUSTERDOWN|MOVED|CROSSSLOT|TRYAGAIN|NOPERM|NOAUTH|WRONGPASS|MISCONF|NOREPLICAS|NOPROTO|DENIED)\b/;

/**
 * Redis refuses a command inside a script under the code ERR, in the words of versions 6, 7.0 and
 * 7.2.
 */
const scriptRefusal = /^(?:\w+ )?(?:The user executing the script can't |ACL failure in script\b)/;

/** PgBouncer's refusal for want of a client slot, under the code of a protocol violation. */
const poolerFull = /^no more connections allowed\b/;

/** The causes of codes of Node.js and OpenSSL that do not name their cause themselves. */
const tlsCauses: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'self-signed certificate',
  SELF_SIGNED_CERT_IN_CHAIN: 'self-signed certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unknown certificate authority',
  UNABLE_TO_GET_ISSUER_CERT: 'unknown certificate authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unknown certificate authority',
  CERT_HAS_EXPIRED: 'expired certificate',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate of another host',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no TLS on this port',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'no TLS on this port',
};

/** Codes of Node.js for a server that can't be reached. */
export const unreachableCodes: readonly string[] = [
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EPIPE',
  'EAI_AGAIN',
  'ENOENT',
];

/** A socket file that the process may not open is a fault of the installation, not an outage. */
const socketCodes = new RegExp(`\\b(${[...unreachableCodes, 'EACCES'].join('|')})\\b`);

/**
 * SQLSTATE classes: connection exception, insufficient resources, operator intervention (which also
 * cancels statements that take too long). Then a server that became a read-only standby, an idle
 * transaction that the server ended, and a lock that another session holds.
 */
export const outageStates = /^(?:08|53|57|25006$|25P03$|55P03$)/;

/** SQLSTATE of a login that is refused, or of a database that does not exist. */
const loginStates = /^(?:28|3D000$)/;

/** Messages of the clients' own errors, which have no code. */
const clientMessages: readonly (readonly [RegExp, string])[] = [
  [/^(?:Connection is closed|Stream isn't writeable|Cluster isn't ready)/, 'disconnected'],
  [/^(?:Connection terminated|Client has encountered a connection error)/, 'disconnected'],
  [/timeout exceeded when trying to connect/, 'ETIMEDOUT'],
  [/No such master with that name/, 'unknown primary'],
  [/^Unknown RESP type/, 'not the Redis protocol'],
  [/does not support SSL connections/, 'no TLS on this port'],
];

/**
 * The cause of a fault of PostgreSQL or Redis: a code, or a phrase of a closed set, that is safe to
 * log. Undefined for any other error, such as a statement that PostgreSQL refused.
 */
export function storeFaultCause(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (poolerFull.test(error.message)) return 'pooler full';
  return causeOfCode(error) ?? causeOfMessage(error.message) ?? innerCauseOf(error);
}

function causeOfCode(error: Error): string | undefined {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (code === undefined) return undefined;
  const isState = outageStates.test(code) || loginStates.test(code);
  if (isState && /^[0-9A-Z]{5}$/.test(code)) return code;
  return tlsCauses[code] ?? (socketCodes.test(code) ? code : undefined);
}

function causeOfMessage(message: string): string | undefined {
  if (scriptRefusal.test(message)) return 'NOPERM';
  return (
    redisCauses.exec(message)?.[1] ??
    // An error of all Sentinels quotes the last one.
    socketCodes.exec(message)?.[1] ??
    clientMessages.find(([pattern]) => pattern.test(message))?.[1]
  );
}

/** A client may wrap the errors of several addresses or cluster nodes. */
function innerCauseOf(error: Error): string | undefined {
  const inner = [
    error.cause,
    'lastNodeError' in error ? error.lastNodeError : undefined,
    ...(error instanceof AggregateError ? error.errors : []),
  ];
  for (const cause of inner) {
    const found = storeFaultCause(cause);
    if (found !== undefined) return found;
  }
  return undefined;
}
