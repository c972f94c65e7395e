import { once } from 'node:events';

/** Whether anything comes on standard input before it ends, or within so many milliseconds. Nothing more can be read from it then. */
export async function hasStandardInput(withinMs: number): Promise<boolean> {
  const { stdin } = process;
  if (stdin.isTTY) return false;
  try {
    await once(stdin, 'readable', { signal: AbortSignal.timeout(withinMs) });
    return stdin.read() !== null;
  } catch {
    return false;
  } finally {
    stdin.destroy();
  }
}

/** All of standard input, as UTF-8 text. */
export async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
