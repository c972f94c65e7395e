import { AppError } from '../domain/errors.ts';
import { storeFaultCause } from '../domain/store-fault.ts';
import { describePlace, type RedisPlace } from './redis-place.ts';

/** What is wrong and what to change, by cause (`storeFaultCause`). */
const sentences: Readonly<Record<string, string>> = {
  NOAUTH: 'asks for a password: give it as redis://:password@host:port',
  WRONGPASS: 'refuses the user or the password',
  DENIED: 'runs in protected mode: set a password there, or bind it to the address of the worker',
  NOPERM:
    'does not permit its user what BullMQ does: grant it +@all on the keys and channels of QUEUE_PREFIX',
  READONLY: 'is a replica and takes no writes: name the primary',
  MASTERDOWN: 'is a replica that has lost its primary: name the primary',
  OOM: 'is full: raise its maxmemory, or remove keys',
  LOADING: 'is still loading its data: start the worker again when it is done',
  MISCONF: 'cannot save its data and takes no writes: its own log says why',
  NOREPLICAS: 'misses the replicas that min-replicas-to-write asks for',
  CLUSTERDOWN: 'is a cluster that does not serve all its slots',
  CROSSSLOT: 'is a cluster behind one address, which it does not report',
  MOVED: 'is a node of a cluster, which it does not report',
  'self-signed certificate':
    'shows a certificate that no trusted authority has signed: name the file of its CA in NODE_EXTRA_CA_CERTS',
  'unknown certificate authority':
    'shows a certificate of an unknown authority: name the file of its CA in NODE_EXTRA_CA_CERTS',
  'expired certificate': 'shows a certificate that has expired',
  'certificate of another host':
    'shows a certificate of another host: give the name it was issued for',
  'no TLS on this port': 'does not speak TLS on this port: give a redis:// URL, or its TLS port',
  'not the Redis protocol':
    'does not speak the protocol of Redis: if it is a TLS port, give a rediss:// URL',
  disconnected: 'closes the connection at once: if it is a TLS port, give a rediss:// URL',
  ECONNRESET: 'closes the connection at once: if it is a TLS port, give a rediss:// URL',
  'unreachable nodes':
    'is a cluster that names no node which the worker can reach: set cluster-announce-ip or cluster-announce-hostname there',
  'unknown primary': 'is unknown to its Sentinels: correct REDIS_SENTINEL_NAME',
  ENOTFOUND: 'has a host name that does not resolve',
  EAI_AGAIN: 'has a host name that does not resolve now',
};

/** The error of a Redis that can't be used, with the reason code of its cause. */
export function redisFault(
  place: RedisPlace,
  cause: unknown,
  reason: string | undefined = storeFaultCause(cause),
): AppError {
  const variable = place.sentinels === undefined ? 'REDIS_URL' : 'REDIS_SENTINELS';
  const sentence =
    reason === undefined ? undefined : (sentences[reason] ?? tlsSilence(place, reason));
  const named = reason === undefined ? '' : ` (${reason})`;
  return new AppError(
    'queue_unavailable',
    sentence === undefined
      ? `Redis does not answer on ${describePlace(place)}${named}: start it, or correct ${variable}.`
      : `Redis on ${describePlace(place)} ${sentence}${named}. It is named in ${variable}.`,
    { cause },
  );
}

/**
 * A Redis without TLS takes the ClientHello for an incomplete command and waits for the rest, so
 * the client times out.
 */
function tlsSilence({ urls }: RedisPlace, reason: string): string | undefined {
  const isTls = urls.some((url) => url.startsWith('rediss:'));
  return isTls && reason === 'ETIMEDOUT'
    ? 'does not answer in TLS: if it does not speak TLS on this port, give a redis:// URL'
    : undefined;
}
