import { expect, test } from 'vitest';
import { renderConfigurationTable } from '../../src/config/configuration-table.ts';

test('docs/configuration.md is generated from the declarations', async () => {
  await expect(renderConfigurationTable()).toMatchFileSnapshot('../../docs/configuration.md');
});

test('no cell of the table breaks its row', () => {
  const rows = renderConfigurationTable()
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  expect(rows.length).toBeGreaterThan(50);
  for (const row of rows) expect(row.split('|')).toHaveLength(6);
});
