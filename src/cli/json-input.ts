import { readFile } from 'node:fs/promises';
import { AppError } from '../domain/errors.ts';
import { readStandardInput } from './standard-input.ts';

/** Reads JSON from a file, or from standard input. Throws `payload_invalid` without its content. */
export async function readJsonInput(path: string | undefined): Promise<unknown> {
  const text = path === undefined ? await readStandardInput() : await readNamed(path);
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes its input.
    throw new AppError('payload_invalid', 'The payload is not valid JSON.');
  }
}

async function readNamed(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new AppError('payload_invalid', 'The file named with --file cannot be read.', { cause });
  }
}
