import { readFile } from 'node:fs/promises';

/** A fenced code block of a document. */
export interface CodeBlock {
  readonly language: string;
  readonly code: string;
}

/** A section of a document: the text from a heading to the next one of the same level. */
export interface Section {
  readonly title: string;
  readonly text: string;
  readonly blocks: readonly CodeBlock[];
}

/** The sections of one heading level (2 is `##`) in a document or in a part of it. */
export function sectionsOf(markdown: string, level: number): readonly Section[] {
  const mark = '#'.repeat(level);
  return markdown
    .split(new RegExp(`^${mark} (?=\\S)`, 'm'))
    .slice(1)
    .map((part) => {
      const [title = '', ...lines] = part.split('\n');
      const text = lines.join('\n');
      return { title, text, blocks: blocksOf(text) };
    });
}

/** Reads the section with this heading from `docs/<name>`. Throws if it is missing. */
export async function readSection(name: string, title: string): Promise<Section> {
  const markdown = await readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
  const section = sectionsOf(markdown, 2).find((candidate) => candidate.title === title);
  if (section === undefined) throw new Error(`${name} has no section "${title}"`);
  return section;
}

function blocksOf(text: string): readonly CodeBlock[] {
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = '', code = '']) => ({
    language,
    code,
  }));
}
