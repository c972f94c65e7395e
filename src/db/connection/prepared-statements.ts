import pg from 'pg';

const names = new Map<string, string>();

/**
 * Marks a text as a statement that each connection prepares once. Its columns must be named: after
 * a migration, a prepared `select *` fails. There must be few such texts, since a connection keeps
 * them all.
 */
export function prepared(text: string): string {
  if (!names.has(text)) names.set(text, `statement_${names.size + 1}`);
  return text;
}

/** A client that sends the marked statements as prepared statements. */
export class PreparingClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    const send: (...parameters: unknown[]) => unknown = this.query.bind(this);
    const query = (text: unknown, ...rest: unknown[]): unknown => {
      const name = typeof text === 'string' ? names.get(text) : undefined;
      return name === undefined ? send(text, ...rest) : send({ name, text }, ...rest);
    };
    this.query = query as pg.Client['query'];
  }
}
