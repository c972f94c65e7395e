import { describe, expect, test } from 'vitest';
import { AppError } from '../../src/domain/errors.ts';
import { createLogger, type Logger } from '../../src/observability/logger.ts';
import { Secret } from '../../src/security/secret.ts';

const canary = 'canary-7f3a';

function record(use: (logger: Logger) => void, level = 'debug'): string {
  let written = '';
  use(createLogger({ level, destination: { write: (line) => void (written += line) } }));
  return written;
}

describe('a log line', () => {
  test('is one JSON object with its level, an ISO time, the fields and the message', () => {
    const line = record((logger) => logger.info({ queue: 'notify', attempt: 2 }, 'a job failed'));
    expect(JSON.parse(line)).toMatchObject({
      level: 30,
      time: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/),
      queue: 'notify',
      attempt: 2,
      msg: 'a job failed',
    });
    expect(line.match(/\n/g)).toHaveLength(1);
  });

  test('below the level is not written', () => {
    expect(record((logger) => logger.info({}, 'x'), 'warn')).toBe('');
    expect(record((logger) => logger.error({}, 'x'), 'warn')).not.toBe('');
  });

  test.each([
    { secureCode: canary },
    { headers: { authorization: canary, securecode: canary } },
    { request: { body: { app_secret: canary, refresh_token: canary } } },
    { reply: { data: { access_token: canary } } },
    { job: { payload: { billing: { email: canary } } } },
    { quickpay_id: canary, quickpayId: canary },
    { items: [{ password: canary }] },
    { credential: new Secret(canary) },
  ])('redacts the value of a forbidden field: %j', (fields) => {
    const line = record((logger) => logger.error(fields, 'x'));
    expect(line).toContain('[secret]');
    expect(line).not.toContain(canary);
  });

  test('about an AppError shows its code, message and paths', () => {
    const error = new AppError('payload_invalid', 'The payload does not parse.', {
      paths: ['order.currency'],
    });
    expect(JSON.parse(record((logger) => logger.error({ error }, 'x')))).toMatchObject({
      error: {
        name: 'AppError',
        code: 'payload_invalid',
        message: 'The payload does not parse.',
        paths: ['order.currency'],
      },
    });
  });

  test('about any other error shows class, code and frames, and never its message', () => {
    const foreign = Object.assign(new TypeError(`refused ${canary}\n    at ${canary} (row:1:1)`), {
      code: 'ECONNREFUSED',
      detail: `Key (email)=(${canary}) exists`,
    });
    const wrapped = new AppError('database_unavailable', 'No database.', { cause: foreign });
    const ways: readonly ((logger: Logger) => void)[] = [
      (logger) => logger.error({ error: foreign }, 'x'),
      (logger) => logger.error({ error: wrapped }, 'x'),
      (logger) => logger.error({ err: foreign }, 'x'),
      (logger) => logger.error(foreign, 'x'),
      (logger) => logger.error({ error: `${canary} thrown as text` }, 'x'),
      (logger) => logger.error({ error: { message: canary } }, 'x'),
    ];
    for (const way of ways) expect(record(way)).not.toContain(canary);
    const line = record((logger) => logger.error({ error: foreign }, 'x'));
    expect(JSON.parse(line)).toMatchObject({ error: { name: 'TypeError', code: 'ECONNREFUSED' } });
    expect(line).toContain('logger.test.ts');
  });

  test('about an error that is its own cause is finite', () => {
    const error: Error & { cause?: unknown } = new RangeError('x');
    error.cause = error;
    const line = record((logger) => logger.error({ error }, 'x'));
    expect(line.match(/RangeError/g)?.length).toBeLessThan(10);
  });
});
