import { expect, test } from 'vitest';
import { type HealthCause, summarizeHealth } from '../../src/domain/health.ts';
import { watchHealth } from '../../src/health/watch-health.ts';
import { createFaultLog } from '../../src/observability/fault-log.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { eventually } from '../support/eventually.ts';

test('a cause is logged once with its reason, and once when it is over', async ({
  onTestFinished,
}) => {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger({
    level: 'info',
    destination: { write: (line) => lines.push(JSON.parse(line)) },
  });
  const error = Object.assign(new Error('canary'), { code: '25006' });
  let causes: readonly HealthCause[] = [{ check: 'database', reason: 'read_only', error }];
  const repaired = new Set<string>();
  let checks = 0;
  const watch = watchHealth(
    async () => {
      checks += 1;
      return summarizeHealth(['database'], causes);
    },
    createFaultLog(logger),
    {
      everyMs: 5,
      async repair({ check }) {
        repaired.add(check);
        throw new Error('it cannot be repaired');
      },
    },
  );
  onTestFinished(watch.close);
  await eventually('ten checks were made', () => checks >= 10);
  expect(lines).toMatchObject([
    {
      level: 50,
      msg: 'a health check fails',
      check: 'database',
      reason: 'read_only',
      status: 'not_ready',
      error: { code: '25006' },
    },
  ]);
  expect([...repaired]).toEqual(['database']);
  causes = [];
  await eventually('the end is logged', () => lines.length === 2);
  expect(lines[1]).toMatchObject({ level: 30, check: 'database', reason: 'read_only' });
  expect(JSON.stringify(lines)).not.toContain('canary');
});
