import type { z } from 'zod';
import { pathsOf } from '../domain/payload-paths.ts';
import { TokenClientError } from './client-error.ts';

/** Checks what is about to be sent. Throws `payload_invalid` with the paths that failed and no values. */
export function parseInput<Schema extends z.ZodType>(
  schema: Schema,
  input: z.input<Schema>,
): z.output<Schema> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const paths = pathsOf(parsed.error.issues);
  throw new TokenClientError(`The input does not fit its schema (${paths.join(', ')}).`, {
    code: 'payload_invalid',
    paths,
    isRetryable: false,
  });
}

/** Checks what a client is opened with. Throws `config_invalid` with the names of the options that are wrong and no values. */
export function parseOptions<Schema extends z.ZodType>(
  schema: Schema,
  options: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const paths = pathsOf(parsed.error.issues);
  throw new TokenClientError(`These options are wrong: ${paths.join(', ')}.`, {
    code: 'config_invalid',
    paths,
    isRetryable: false,
  });
}
