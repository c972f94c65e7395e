/** The addresses of Redis. */
export interface RedisPlace {
  /**
   * One URL, or several nodes of a cluster. With Sentinels at most one URL, of which only user,
   * password, database and TLS are used.
   */
  readonly urls: readonly string[];
  readonly sentinels?:
    | {
        /** URLs of Sentinels. User, password and TLS of the first one apply to all. */
        readonly addresses: readonly string[];
        /** The name under which the Sentinels know the primary. */
        readonly name: string;
      }
    | undefined;
}

/** One server, as its URL names it. */
export interface RedisNode {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  /** Present for rediss: an empty object verifies the certificate against the trusted CAs. */
  readonly tls?: { readonly servername?: string };
}

const redisPort = 6_379;

/** Reads a URL that the configuration has accepted. */
export function nodeOf(url: string | undefined, defaultPort: number = redisPort): RedisNode {
  if (url === undefined) return { host: '127.0.0.1', port: defaultPort };
  const { protocol, hostname, port, username, password, pathname } = new URL(url);
  const db = Number(pathname.slice(1));
  const host = hostname.replaceAll(/^\[|\]$/g, '');
  return {
    host,
    port: port === '' ? defaultPort : Number(port),
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...(db > 0 && { db }),
    ...(protocol === 'rediss:' && { tls: {} }),
  };
}

/** The addresses of a place, without user and password. */
export function describePlace({ urls, sentinels }: RedisPlace): string {
  if (sentinels !== undefined) {
    const addresses = sentinels.addresses.map((address) => addressOf(address, 26_379));
    return `${sentinels.name} (Sentinels ${addresses.join(', ')})`;
  }
  return urls.map((url) => addressOf(url, redisPort)).join(', ');
}

function addressOf(url: string, defaultPort: number): string {
  const { host, port } = nodeOf(url, defaultPort);
  return `${host}:${port}`;
}
