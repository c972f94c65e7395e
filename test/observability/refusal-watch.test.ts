import { expect, test } from 'vitest';
import type { RefusalScope } from '../../src/domain/refusals.ts';
import { refusalScopeOf } from '../../src/gateway/refusal-scope.ts';
import { createFaultLog } from '../../src/observability/fault-log.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createRefusalWatch } from '../../src/observability/refusal-watch.ts';

const host = 'gateway.example';

/** A watch, with the lines that it logs and the numbers that it reports. */
function watch() {
  const lines: object[] = [];
  const numbers: [string, number][] = [];
  const destination = { write: (line: string) => lines.push(JSON.parse(line)) };
  const log = createFaultLog(createLogger({ level: 'info', destination }));
  const { observe, refusing } = createRefusalWatch(log, (...number) => numbers.push(number));
  const refuse = (code: string, scope: RefusalScope, subject?: string, target = 'create') =>
    observe({ target, host, subject, refusal: { code, scope } });
  const accept = (target = 'create') =>
    observe({ target, host, subject: undefined, refusal: undefined });
  return { refuse, accept, lines, numbers, refusing };
}

test('a refused account is an error from the third subject, with its code and the remedy', () => {
  const { refuse, accept, lines, numbers, refusing } = watch();
  for (let retries = 0; retries < 9; retries += 1) refuse('20013', 'account', 'first');
  refuse('20005', 'account', 'second');
  expect([refusing(), lines]).toEqual([[], []]);
  refuse('20013', 'account', 'third');
  expect(refusing()).toEqual(['create']);
  expect(lines).toMatchObject([
    {
      level: 50,
      msg: 'the gateway refuses every call',
      target: 'create',
      host,
      gatewayCode: '20013',
      refusedInARow: 11,
      remedy: expect.stringContaining('secure code'),
    },
  ]);
  for (let more = 0; more < 1_000; more += 1) refuse('20013', 'account');
  expect(lines).toHaveLength(1);
  accept();
  expect([refusing(), numbers.at(-1)]).toEqual([[], ['create', 0]]);
  expect(lines.slice(1)).toMatchObject([
    { level: 30, msg: 'the gateway no longer refuses every call', refused: 1_011 },
  ]);
});

test('an unknown code needs five subjects in a row, all refused with it', () => {
  const { refuse, lines, refusing } = watch();
  for (const code of ['1', '1', '1', '1', '2', '1', '1', '1', '1']) refuse(code, 'unclear');
  expect([refusing(), lines]).toEqual([[], []]);
  refuse('1', 'unclear');
  expect(refusing()).toEqual(['create']);
  expect(lines).toMatchObject([
    { gatewayCode: '1', refusedInARow: 5, remedy: expect.stringContaining('code 1') },
  ]);
});

test('refused payment methods of single customers are no fault, and end the refusals', () => {
  const { refuse, accept, lines, numbers, refusing } = watch();
  for (let customers = 0; customers < 50; customers += 1) refuse('80051', 'customer');
  expect(numbers).toEqual([]);
  for (let round = 0; round < 50; round += 1) {
    refuse('20013', 'account');
    refuse('20013', 'account');
    if (round % 2 === 0) accept();
    else refuse('80051', 'customer');
  }
  expect([refusing(), lines]).toEqual([[], []]);
});

test('operations are counted apart, and other codes do not hide a refused account', () => {
  const { refuse, accept, refusing } = watch();
  for (const code of ['1', '2', '3']) {
    refuse('401', 'account', undefined, 'cancel');
    refuse(code, 'unclear', undefined, 'cancel');
    accept('create');
  }
  expect(refusing()).toEqual(['cancel']);
});

test.each<[string, number, RefusalScope]>([
  ['20001', 200, 'account'],
  ['20005', 200, 'account'],
  ['20016', 200, 'account'],
  ['401', 401, 'account'],
  ['404', 404, 'account'],
  ['80051', 403, 'account'],
  ['10000', 200, 'customer'],
  ['20026', 200, 'customer'],
  ['20043', 400, 'customer'],
  ['20171', 200, 'customer'],
  ['80031', 200, 'customer'],
  ['20017', 200, 'unclear'],
  ['20044', 200, 'unclear'],
  ['20061', 200, 'unclear'],
  ['40001', 200, 'unclear'],
  ['constructor', 200, 'unclear'],
])('the code %s with HTTP %i is about: %s', (code, status, scope) => {
  expect(refusalScopeOf(code, status)).toBe(scope);
});
