import { type Variable, variables } from './variables.ts';

/** `docs/configuration.md`, made from the table of variables. A test checks that the file is current. */
export function renderConfigurationTable(): string {
  const rows = Object.entries(variables).map(
    ([name, { meaning, fallback, isSecret }]: [string, Variable]) =>
      `| \`${name}\` | ${meaning} | ${fallback === undefined ? '' : `\`${fallback}\``} | ${isSecret === true ? 'yes' : ''} |`,
  );
  return [
    '# Configuration',
    '',
    'Generated from `src/config/variables.ts`; `npx vitest run test/config --update` writes it anew.',
    '',
    'Everything is an environment variable. All of them are read once, at the start, and all faults are reported together, by',
    'name; a value is never shown. A variable that is empty counts as absent. Times are milliseconds, lists are',
    'comma-separated. The exit code of a wrong configuration is 2.',
    '',
    '| variable | meaning | default | secret |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
