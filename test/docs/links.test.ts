import { access, glob, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The relative links of a page whose file is missing, as `page: target`. */
async function brokenLinks(page: string, text: string): Promise<readonly string[]> {
  const prose = text.replace(/^```.*?^```$/gms, '');
  const targets = [...prose.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, path = '']) => path);
  const broken: string[] = [];
  for (const target of targets.filter((one) => !/^[a-z]+:/.test(one))) {
    const isThere = await access(join(root, dirname(page), target)).then(
      () => true,
      () => false,
    );
    if (!isThere) broken.push(`${page}: ${target}`);
  }
  return broken;
}

test('each relative link in a page leads to a file', async () => {
  const pages: string[] = [];
  for (const pattern of ['*.md', 'docs/**/*.md', 'examples/*.md', 'packages/*/*.md']) {
    for await (const page of glob(pattern, { cwd: root })) pages.push(page);
  }
  expect(pages.length).toBeGreaterThan(15);
  const texts = pages.map(
    async (page) => await brokenLinks(page, await readFile(join(root, page), 'utf8')),
  );
  expect((await Promise.all(texts)).flat()).toEqual([]);
});

test('a link to a missing file is found', async () => {
  const text = 'See [one](README.md), [two](docs/absent.md#part), [three](https://a.example/b).';
  expect(await brokenLinks('README.md', text)).toEqual(['README.md: docs/absent.md']);
});
