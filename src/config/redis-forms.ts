import type { z } from 'zod';
import { list } from './forms.ts';

/**
 * What is wrong with the URL of a Redis server. Redis clients read some wrong URLs as something
 * else: a password without a colon as a user, a name in the path as database NaN.
 */
function faultOfUrl(text: string): string | undefined {
  if (/^["'`]|["'`]$/.test(text)) return 'leave out the quotation marks';
  if (/\s/.test(text)) return 'leave out the white space';
  if (!/^rediss?:\/\//.test(text)) {
    return 'give URLs of the form redis://host:port, comma-separated; encode a comma in a password as %2C';
  }
  if (text.includes('#')) return 'encode a # in a password as %23';
  if (!URL.canParse(text)) {
    return 'give URLs of the form redis://host:port; encode /, ?, @ and : in a password as %2F, %3F, %40 and %3A';
  }
  return faultOfParts(new URL(text));
}

function faultOfParts(url: URL): string | undefined {
  const { hostname, username, password, pathname, search } = url;
  if (hostname === '') return 'name the host';
  if (!isDecodable(username + password)) return 'encode a % in user or password as %25';
  if (search !== '') return 'leave out what follows the ?; rediss:// asks for TLS';
  if (!/^\/?$|^\/\d{1,4}$/.test(pathname)) {
    return 'give nothing after host and port, or the number of a database';
  }
  if (username !== '' && password === '') {
    return 'give the password too; without a user, write redis://:password@host:port';
  }
  return undefined;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** What is wrong with several URLs as the nodes of one cluster. */
function faultOfNodes(texts: readonly string[]): string | undefined {
  if (texts.length < 2) return undefined;
  const urls = texts.map((text) => new URL(text));
  if (urls.some(({ pathname }) => pathname.length > 1)) {
    return 'leave out the number of the database: several addresses name a cluster, which has none';
  }
  const logins = urls.map(({ protocol, username, password }) =>
    JSON.stringify([protocol, username, password]),
  );
  return new Set(logins).size > 1
    ? 'give all nodes of the cluster the same scheme, user and password'
    : undefined;
}

function refuse(
  { value, issues }: z.core.ParsePayload<string[]>,
  faultOf: (entries: readonly string[]) => string | undefined,
): void {
  const message = faultOf(value);
  if (message !== undefined) issues.push({ code: 'custom', message, input: '' });
}

const firstFault = (texts: readonly string[]): string | undefined =>
  texts.map(faultOfUrl).find((fault) => fault !== undefined);

/** The URLs of one Redis, or of several nodes of a cluster. */
export const redisUrls = list.check((payload) =>
  refuse(payload, (texts) => firstFault(texts) ?? faultOfNodes(texts)),
);

/** Sentinels as `host:port`, or as URLs where they ask for a login or TLS. */
export const redisSentinels = list
  .transform((entries) =>
    entries.map((entry) => (entry.includes('://') ? entry : `redis://${entry}`)),
  )
  .check((payload) => refuse(payload, firstFault));
