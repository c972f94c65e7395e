import { InvalidArgumentError } from 'commander';
import { z } from 'zod';

/** Parses an argument that has to be a UUID. */
export function uuidArgument(text: string): string {
  const parsed = z.uuid().safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError('Give an id as the lists print it.');
  return parsed.data;
}
