import { readFile } from 'node:fs/promises';
import { AppError } from '../domain/errors.ts';
import { decodeText } from '../gateway/decode-text.ts';
import { readStandardInput } from './standard-input.ts';

/**
 * Reads JSON from a file, or from standard input. Editors and shells on Windows write a byte order
 * mark or UTF-16. Throws `payload_invalid` without the input's content.
 */
export async function readJsonInput(path: string | undefined): Promise<unknown> {
  const { text } = decodeText(
    path === undefined ? await readStandardInput() : await readNamed(path),
  );
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes its input.
    throw new AppError('payload_invalid', 'The payload is not valid JSON.');
  }
}

async function readNamed(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new AppError('payload_invalid', 'The file named with --file cannot be read.', { cause });
  }
}
