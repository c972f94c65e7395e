import type { BenchServices } from '../support/bench-services.ts';
import { startBullmqContestant } from '../support/bullmq-contestant.ts';
import type { Contestant } from '../support/contestant.ts';

/** BullMQ and the same call, with nothing stored. */
export async function startCeiling(
  services: BenchServices,
  concurrency: number,
): Promise<Contestant> {
  return await startBullmqContestant(services, {
    name: 'ceiling: BullMQ, nothing stored',
    file: new URL('../processes/ceiling.ts', import.meta.url),
    key: 'ceiling',
    concurrency,
  });
}
