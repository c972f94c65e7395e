import { glob, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const columnsMax = 100;

/** Words that hide the agent of a sentence or a term to search for, and what to write instead. */
const refusedWords: readonly (readonly [RegExp, string])[] = [
  [
    /\b(?:whoever|somebody|nobody|anybody|anew|for ever|bears? it out|becomes of|strangers?|hand-?outs?)\b/i,
    'name the agent',
  ],
  [/\b(?:next|another|last|each) look\b/i, 'name the query or the judging'],
  [/\bin hand\b/i, 'write "in flight" or "received"'],
  [/\bbut for one\b/i, 'write "except"'],
  [/\bvery end\b/i, 'write "expiry"'],
  [/\b(?:own URLs?|URLs? of (?:its|their) own)\b/i, 'write "per-request URL"'],
  [/\b(?:comes?|goes|leads?|led|way)(?: \w+){0,3} home\b/i, 'name the return URL'],
  [/\bmend(?:s|ed|ing)?\b/i, 'write "repair"'],
  [
    /\b(?:PostgreSQL|Redis|database|store|worker|queues?)(?: \w+)? (?:is|are|was|were|goes|went|be) (?:still )?away\b/i,
    'write "unavailable"',
  ],
  [/\bordered (?:stop|shutdown)\b/i, 'write "graceful shutdown"'],
  [/\bpresent (?:state|tokens?|generation|job)\b/i, 'write "current"'],
  [/\bwords? of (?:a |the )?(?:closed sets?|its cause)\b/i, 'write "code" or "cause"'],
];

interface Prose {
  readonly line: number;
  readonly text: string;
  readonly isComment: boolean;
}

const stringLiteral = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`/g;

/** The prose of a TypeScript file: lines with nothing but a comment, and texts with a space. */
function proseOf(source: string): readonly Prose[] {
  return source.split('\n').flatMap<Prose>((text, index) => {
    const line = index + 1;
    if (/^\s*(?:\/\/|\/\*\*?|\*)/.test(text)) return [{ line, text, isComment: true }];
    const texts = (text.match(stringLiteral) ?? []).filter((literal) => literal.includes(' '));
    return texts.map((literal) => ({ line, text: literal, isComment: false }));
  });
}

function linesOf(source: string): readonly Prose[] {
  return source.split('\n').map((text, index) => ({ line: index + 1, text, isComment: false }));
}

/** Each refused word, and each comment that is too long, as `path:line: why`. */
function faultsOf(path: string, source: string): readonly string[] {
  const prose = path.endsWith('.md') ? linesOf(source) : proseOf(source);
  return prose.flatMap(({ line, text, isComment }) => {
    const isLong = isComment && text.length > columnsMax;
    const words = refusedWords.flatMap(([pattern, advice]) => {
      const word = pattern.exec(text)?.[0];
      return word === undefined ? [] : [`${path}:${line}: instead of "${word}" ${advice}`];
    });
    return [...(isLong ? [`${path}:${line}: longer than ${columnsMax} columns`] : []), ...words];
  });
}

const own = 'test/architecture/words.test.ts';
const pages = '{*.md,docs/**/*.md,examples/*.md,packages/client/*.md}';
const sources = '{src,test,bench,migrations,examples}/**/*.ts';

test.each([
  ['comments, texts and test names', sources, 300],
  ['pages', pages, 20],
])('%s name the agent and use terms of the field', async (_what, pattern, filesMin) => {
  const faults: string[] = [];
  let files = 0;
  for await (const path of glob(pattern, { cwd: root })) {
    if (path === own) continue;
    files += 1;
    faults.push(...faultsOf(path, await readFile(`${root}${path}`, 'utf8')));
  }
  expect(files).toBeGreaterThan(filesMin);
  expect(faults).toEqual([]);
});

test.each([
  ['// Whoever holds the lease commits.', 'instead of "Whoever" name the agent'],
  ['/** The schedule begins anew. */', 'instead of "anew" name the agent'],
  ['/** When the next look is due. */', 'instead of "next look" name the query or the judging'],
  ["log.warn('a reply in hand was lost');", 'instead of "in hand" write "in flight" or "received"'],
  ['// Read but for one field.', 'instead of "but for one" write "except"'],
  ['// Cached until its very end.', 'instead of "very end" write "expiry"'],
  ["test('its own URL is secret');", 'instead of "own URL" write "per-request URL"'],
  ['// With callback URLs of its own.', 'instead of "URLs of its own" write "per-request URL"'],
  ["test('leads the customer home');", 'instead of "leads the customer home" name the return URL'],
  ['// This run mends it.', 'instead of "mends" write "repair"'],
  ['say("while PostgreSQL is away");', 'instead of "PostgreSQL is away" write "unavailable"'],
  ['// An ordered stop.', 'instead of "ordered stop" write "graceful shutdown"'],
  ["fail('the present state forbids it');", 'instead of "present state" write "current"'],
  ['/** A word of a closed set. */', 'instead of "word of a closed set" write "code" or "cause"'],
  [`// ${'x'.repeat(100)}`, 'longer than 100 columns'],
])('the prose of %s is reported', (source, fault) => {
  expect(faultsOf('a.ts', source)).toEqual([`a.ts:1: ${fault}`]);
});

test('a page is read as a whole', () => {
  expect(faultsOf('a.md', '# Words\n\nNobody waits.')).toEqual([
    'a.md:3: instead of "Nobody" name the agent',
  ]);
});

test('names in code are left alone, and texts may be long', () => {
  expect(faultsOf('a.ts', `const nobody = '${'x y'.repeat(60)}';`)).toEqual([]);
});
