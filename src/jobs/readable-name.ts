import { createHash } from 'node:crypto';

const readable = /^[\x20-\x7e]{1,200}$/;

/**
 * A name or id that a backend gave its job, as it may be stored and logged: as it is where it is short and printable, else what is
 * printable of its beginning, and a digest that tells it from others.
 */
export function readableName(name: string): string {
  if (readable.test(name)) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 16);
  return `${name.slice(0, 100).replaceAll(/[^\x20-\x7e]/g, '?')}~${digest}`;
}
