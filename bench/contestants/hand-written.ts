import type { BenchServices } from '../support/bench-services.ts';
import { startBullmqContestant } from '../support/bullmq-contestant.ts';
import type { Contestant } from '../support/contestant.ts';
import { countHandWrittenRows } from '../support/hand-written-work.ts';

/** BullMQ and one transaction per change. */
export async function startHandWritten(
  services: BenchServices,
  concurrency: number,
): Promise<Contestant> {
  return await startBullmqContestant(services, {
    name: 'hand-written: BullMQ, a transaction per change',
    file: new URL('../processes/hand-written.ts', import.meta.url),
    key: 'hand-written',
    concurrency,
    countRows: async (prefix) => await countHandWrittenRows(services.client, prefix),
  });
}
