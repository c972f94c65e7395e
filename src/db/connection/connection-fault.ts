import { AppError } from '../../domain/errors.ts';
import { storeFaultCause } from '../../domain/store-fault.ts';

/** What is wrong and what to change, by SQLSTATE or cause (`storeFaultCause`). */
const sentences: Readonly<Record<string, (place: string) => string>> = {
  '3D000': (place) =>
    `The database named in DATABASE_URL does not exist on ${place}: create it or correct the name.`,
  '28P01': (place) => `PostgreSQL on ${place} refused the user or password in DATABASE_URL.`,
  '28000': (place) =>
    `PostgreSQL on ${place} refused the user or password in DATABASE_URL, or its pg_hba.conf has no line for this user, database, address and encryption (28000).`,
  '53300': (place) =>
    `PostgreSQL on ${place} has too many connections (53300): raise its max_connections, lower DATABASE_POOL_SIZE, or put a pooler in front.`,
  'pooler full': (place) =>
    `The pooler on ${place} takes no more connections (08P01): raise its max_client_conn (or its limit for one user or database), or lower DATABASE_POOL_SIZE.`,
  '57P03': (place) => `PostgreSQL on ${place} is starting up or shutting down (57P03): try again.`,
  '25006': (place) =>
    `PostgreSQL on ${place} takes no writes (25006): it is a standby, or default_transaction_read_only is on.`,
  'no TLS on this port': (place) =>
    `PostgreSQL on ${place} does not speak TLS, and DATABASE_URL asks for it: turn it on there, or leave out sslmode.`,
  'self-signed certificate': (place) =>
    `PostgreSQL on ${place} shows a self-signed certificate: name the file of its CA in NODE_EXTRA_CA_CERTS.`,
  'unknown certificate authority': (place) =>
    `PostgreSQL on ${place} shows a certificate of an unknown authority: name the file of its CA in NODE_EXTRA_CA_CERTS.`,
  'expired certificate': (place) => `PostgreSQL on ${place} shows a certificate that has expired.`,
  'certificate of another host': (place) =>
    `PostgreSQL on ${place} shows a certificate of another host: give the name it was issued for.`,
  ENOTFOUND: (place) => `The host in DATABASE_URL does not resolve (ENOTFOUND): ${place}.`,
};

/** The error of a PostgreSQL that can't be reached or refuses the login. */
export function connectionFault(url: string, cause: unknown): AppError {
  if (cause instanceof AppError) return cause;
  const place = hostAndPortOf(url);
  const reason = storeFaultCause(cause);
  const sentence = reason === undefined ? undefined : sentences[reason];
  const named = reason === undefined ? '' : ` (${reason})`;
  return new AppError(
    'database_unavailable',
    sentence?.(place) ??
      `PostgreSQL does not answer on ${place}${named}: start it, or correct DATABASE_URL.`,
    { cause },
  );
}

function hostAndPortOf(url: string): string {
  try {
    const { hostname, port } = new URL(url);
    return `${hostname === '' ? 'the local socket' : hostname}:${port === '' ? '5432' : port}`;
  } catch {
    return 'the host in DATABASE_URL';
  }
}
