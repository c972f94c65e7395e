import { metricTable } from './metrics.ts';

/** `docs/metrics.md`, made from the table of metrics. A test checks that the file is current. */
export function renderMetricsTable(): string {
  const rows = Object.entries(metricTable).map(([name, help]) => `| \`${name}\` | ${help} |`);
  return [
    '# Metrics',
    '',
    'Generated from `src/observability/metrics.ts`; `npx vitest run test/observability --update` writes it again.',
    '',
    '`GET /metrics` on the private listener gives these in the Prometheus text format, besides the usual ones of Node.js and',
    'of the process. Label values are of closed sets: no id, reference or amount is ever a label.',
    '',
    '| metric | meaning |',
    '| --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
