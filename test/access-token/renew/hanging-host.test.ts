import { expect, onTestFinished } from 'vitest';
import { loadConfig } from '../../../src/config/config.ts';
import { createGatewayClient } from '../../../src/gateway/client.ts';
import { storeCredential } from '../../../src/credential/store.ts';
import { openQueueBackend } from '../../../src/queues/backend.ts';
import { startWorker } from '../../../src/queues/worker.ts';
import { startSandbox } from '../../../src/sandbox/sandbox.ts';
import { testActor } from '../../support/builders.ts';
import { eventually } from '../../support/eventually.ts';
import { createOauthLimiter } from '../../support/harness/oauth-limiter.ts';
import { appSecret, test } from '../../support/harness/token-harness.ts';

const concurrency = 5;
/** Three quarters of four, less the call in flight that is kept for urgent tokens. */
const callsInFlight = 2;
const hangingCount = 12;

test('a host that hangs holds three quarters of the jobs at most, and tokens of the other host are still renewed', async ({
  openTokenHarness,
  redis,
}) => {
  const harness = await openTokenHarness({
    env: { CONCURRENCY_ACCESS_TOKEN: String(concurrency) },
  });
  const { dependencies } = harness;
  const hanging = await startSandbox({ faults: { hangRate: 1 } });
  const gateway = createGatewayClient({
    checkoutUrl: harness.sandbox.checkoutUrl,
    openApiUrl: harness.sandbox.openApiUrl,
    otherPlace: hanging,
    oauthLimiter: createOauthLimiter(dependencies.db, loadConfig(harness.env)),
    timeoutMs: 60_000,
  });
  const backend = await openQueueBackend(
    { kind: 'redis', urls: [redis.url], prefix: redis.prefix },
    () => undefined,
  );
  const runs: string[] = [];
  const worker = startWorker('access-token', {
    backend,
    dependencies: { ...dependencies, gateway },
    concurrency,
    observe: ({ outcome }) => runs.push(outcome),
  });
  onTestFinished(async () => {
    await worker.close(0);
    await backend.close();
    await gateway.close();
    await hanging.close();
  });
  const enqueue = async (credential: string): Promise<void> => {
    await backend.queue('access-token').add('access-token.refresh', { v: 1, credential });
  };

  for (let index = 0; index < hangingCount; index += 1) {
    const name = `hanging-${index}`;
    const secrets = { appKey: name, appSecret };
    await storeCredential(
      dependencies,
      { name, environment: 'production', family: 'opcard', secrets },
      testActor,
    );
    await enqueue(name);
  }
  const calls = (): number => hanging.state().calls['oauth-create'];
  await eventually('the host is full', () => calls() === callsInFlight);
  await eventually('the others are deferred', () => runs.length >= hangingCount - callsInFlight);

  await harness.add('cards', 'app-1');
  await enqueue('cards');
  await eventually('the token of the other host', async () => {
    return (await harness.row('cards')).generation === 1;
  });
  expect(calls()).toBe(callsInFlight);
});
