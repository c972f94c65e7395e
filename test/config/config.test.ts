import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { variablesIn } from '../../src/config/variable.ts';
import { variables } from '../../src/config/variables.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';

const complete = {
  DATABASE_URL: 'postgres://worker:hunter2@db:5432/tokens',
  ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
};

function faultsOf(env: Record<string, string>): string {
  try {
    loadConfig(env);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
}

describe('the configuration', () => {
  test('needs a database and a key, and has a default for the rest', () => {
    const config = loadConfig(complete);
    expect(config.queue).toMatchObject({ backend: 'postgres', prefix: 'token-lifecycle' });
    expect(config.gateway.checkoutUrl).toBe('https://checkout-s.oceanpayment.com');
    expect(config.jobs.reconcileScheduleMs).toHaveLength(10);
    expect(loadConfig({ ...complete, REDIS_URL: 'redis://r1,redis://r2' }).queue).toMatchObject({
      backend: 'redis',
      redis: { urls: ['redis://r1', 'redis://r2'] },
    });
  });

  test('reports all faults at once, by name, and shows no value', () => {
    const faults = faultsOf({
      ...complete,
      DATABASE_URL: 'mysql://worker:hunter2@db/x',
      OPS_PORT: '99999',
      OCEANPAYMENT_ACCOUNT: 'hunter2',
      LOG_LEVEL: 'loud',
      GATEWAY_TIMEOUT_MS: '10s',
      OCEANPAYMENT_CHECKOUT_URL: 'http://checkout.example.com',
      EXPIRY_ZONE: 'Mars/Olympus',
    });
    for (const name of [
      'DATABASE_URL',
      'OPS_PORT',
      'OCEANPAYMENT_ACCOUNT',
      'LOG_LEVEL',
      'GATEWAY_TIMEOUT_MS',
      'OCEANPAYMENT_CHECKOUT_URL',
      'EXPIRY_ZONE',
    ]) {
      expect(faults).toContain(`${name}: `);
    }
    expect(faults).not.toContain('hunter2');
    expect(faults).not.toContain('loud');
  });

  test.each([
    [{ ENCRYPTION_KEYS: '' }, 'ENCRYPTION_KEYS: set it'],
    [{ ENCRYPTION_KEYS: 'k1:short' }, 'ENCRYPTION_KEYS: give id:base64'],
    [{ DATABASE_URL: '', NODE_ENV: 'production' }, 'DATABASE_URL: set it'],
    [{ QUEUE_BACKEND: 'redis' }, 'REDIS_URL: set it'],
    [{ OCEANPAYMENT_ACCOUNT: '995149' }, 'OCEANPAYMENT_SECURE_CODE: set it too'],
    [{ OPCARD_APP_KEY: 'x' }, 'OPCARD_APP_SECRET: set it too'],
    [{ ACCESS_TOKEN_SKEW_MS: '3600000' }, 'ACCESS_TOKEN_SKEW_MS: make it smaller'],
    [{ NOTIFY_SIGNATURE_MODE: 'verify' }, 'NOTIFY_SIGNATURE_FIELDS: set it'],
    [{ CONFIRM_POLICY: 'signed' }, 'NOTIFY_SIGNATURE_MODE: set it to verify'],
    [{ OCEANPAYMENT_ACOUNT: '995149' }, 'did you mean OCEANPAYMENT_ACCOUNT?'],
    [{ CALLBACK_PROT: '1' }, 'did you mean CALLBACK_PORT?'],
  ])('%j is refused with what to change', (change, sentence) => {
    expect(faultsOf({ ...complete, ...change })).toContain(sentence);
  });

  test('every variable is declared once, has a meaning, and a default that fits its form', () => {
    const declared = variablesIn(variables);
    expect(new Set(declared.map(({ name }) => name)).size).toBe(declared.length);
    expect(declared.filter(({ meaning }) => meaning === '')).toEqual([]);
    expect(faultsOf(complete)).toBe('');
  });

  test('printing the configuration shows no secret', () => {
    const config = loadConfig({ ...complete, OPCARD_APP_KEY: 'key', OPCARD_APP_SECRET: 'hunter3' });
    expect(JSON.stringify(config)).not.toContain('hunter3');
    expect(JSON.stringify(config.encryptionKeys)).not.toContain(complete.ENCRYPTION_KEYS.slice(3));
  });
});
