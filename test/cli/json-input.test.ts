import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readJsonInput } from '../../src/cli/json-input.ts';

async function read(content: Buffer): Promise<unknown> {
  const folder = await mkdtemp(join(tmpdir(), 'json-input-'));
  onTestFinished(async () => await rm(folder, { recursive: true }));
  const path = join(folder, 'payload.json');
  await writeFile(path, content);
  return await readJsonInput(path);
}

const payload = '{"v":1,"billing":{"lastname":"Müller"}}';

test.each([
  ['UTF-8', Buffer.from(payload)],
  ['UTF-8 with a byte order mark, as Notepad writes it', Buffer.from(`\ufeff${payload}`)],
  ['UTF-16, as Windows PowerShell writes it', Buffer.from(`\ufeff${payload}`, 'utf16le')],
])('a payload in %s is read', async (_, content) => {
  expect(await read(content)).toEqual(JSON.parse(payload));
});

test('broken JSON is refused without its content', async () => {
  await expect(read(Buffer.from('\ufeff{"secret":'))).rejects.toMatchObject({
    code: 'payload_invalid',
    message: 'The payload is not valid JSON.',
  });
});
