import { expect, onTestFinished } from 'vitest';
import { loadConfig } from '../../../src/config/config.ts';
import { createGatewayClient } from '../../../src/gateway/client.ts';
import { oauthLimits } from '../../../src/job-settings.ts';
import { storeCredential } from '../../../src/credential/store.ts';
import { openQueueBackend } from '../../../src/queues/backend.ts';
import { startWorker } from '../../../src/queues/worker.ts';
import { startSandbox } from '../../../src/sandbox/sandbox.ts';
import { testActor } from '../../support/builders.ts';
import { eventually } from '../../support/eventually.ts';
import { appSecret, test } from '../../support/harness/token-harness.ts';

const concurrency = 5;
/** Three quarters of four, less the one for tokens in need. */
const callsAtOnceMax = 2;
const hangingCount = 12;

test('a gateway host that hangs keeps three quarters of the jobs at most, and the tokens of the other host are renewed meanwhile', async ({
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
    oauthCallsPerSecondMax: 1_000,
    oauthLimits: oauthLimits(loadConfig(harness.env)),
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
    await worker.close();
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
  await eventually('the host is full', () => calls() === callsAtOnceMax);
  await eventually('the others have come', () => runs.length >= hangingCount - callsAtOnceMax);

  await harness.add('cards', 'app-1');
  await enqueue('cards');
  await eventually('the token of the other host', async () => {
    return (await harness.row('cards')).generation === 1;
  });
  expect(calls()).toBe(callsAtOnceMax);
});
