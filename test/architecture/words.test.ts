import { glob, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const columnsMax = 100;

/** Words that hide the agent of a sentence, or stand for a term that a reader could search for. */
const vagueWords =
  /\b(whoever|somebody|nobody|anybody|anew|for ever|bears? it out|becomes of|strangers?|hand-?outs?)\b/i;

interface Comment {
  readonly line: number;
  readonly text: string;
}

/** The lines of a TypeScript file that hold nothing but a comment. */
function commentsOf(source: string): readonly Comment[] {
  return source
    .split('\n')
    .map((text, index) => ({ line: index + 1, text }))
    .filter(({ text }) => /^\s*(?:\/\/|\/\*\*?|\*)/.test(text));
}

/** Each comment line that is too long or uses a vague word, as `path:line: why`. */
function faultsOf(path: string, source: string): readonly string[] {
  return commentsOf(source).flatMap(({ line, text }) => {
    const word = vagueWords.exec(text)?.[0];
    return [
      ...(text.length > columnsMax ? [`${path}:${line}: longer than ${columnsMax} columns`] : []),
      ...(word === undefined ? [] : [`${path}:${line}: name the agent instead of "${word}"`]),
    ];
  });
}

test('comments end at column 100 and name the agent', async () => {
  const faults: string[] = [];
  let files = 0;
  for await (const path of glob('{src,test,bench,migrations,examples}/**/*.ts', { cwd: root })) {
    files += 1;
    faults.push(...faultsOf(path, await readFile(`${root}${path}`, 'utf8')));
  }
  expect(files).toBeGreaterThan(300);
  expect(faults).toEqual([]);
});

test.each([
  ['// Whoever holds the lease commits.', 'a.ts:1: name the agent instead of "Whoever"'],
  ['/** The schedule begins anew. */', 'a.ts:1: name the agent instead of "anew"'],
  [`const a = 1;\n  // ${'x'.repeat(100)}`, 'a.ts:2: longer than 100 columns'],
])('a comment that is long or vague is reported', (source, fault) => {
  expect(faultsOf('a.ts', source)).toEqual([fault]);
});

test('code and texts are left alone', () => {
  expect(faultsOf('a.ts', `const nobody = '${'x'.repeat(120)}';`)).toEqual([]);
});
