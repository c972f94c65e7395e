import { XMLParser } from 'fast-xml-parser';
import { afterEach, beforeEach } from 'vitest';
import { type SandboxHarness, useSandbox } from './harness.ts';
import { type Receiver, startReceiver } from './receiver.ts';

/** A sandbox that decides and pushes without delay, and a new receiver for each test. */
export interface PushHarness extends SandboxHarness {
  readonly receiver: Receiver;
  /** Creates `ref-1`, or another reference, and waits until its pushes are over. */
  readonly createAndSettle: (remark: string, referenceId?: string) => Promise<void>;
  /** The fields of the XML push with this index. */
  readonly fieldsAt: (index: number) => Record<string, string>;
  /** The kinds of all pushes, in the order of sending. */
  readonly pushKinds: () => readonly string[];
}

/** Times of the five attempts, short enough for a test. */
export const pushScheduleMs = [0, 5, 10, 15, 20];

/** Starts a sandbox for the test file and a receiver for each test. */
export async function usePushes(): Promise<PushHarness> {
  let receiver: Receiver;
  beforeEach(async () => {
    receiver = await startReceiver();
  });
  // These hooks run last to first, so the sandbox's reset ends pending pushes before this one.
  afterEach(() => receiver.close());
  const harness = await useSandbox({ faults: { autoDecisionMs: 0 }, pushScheduleMs });
  const { sandbox, client } = harness;
  return {
    ...harness,
    get receiver() {
      return receiver;
    },
    createAndSettle: async (remark, referenceId = 'ref-1') => {
      await client.create(referenceId, { remark, notifyUrl: receiver.url });
      await sandbox.settled();
    },
    fieldsAt: (index) => {
      const parser = new XMLParser({ parseTagValue: false });
      const body = receiver.pushes.at(index)?.body ?? '';
      return (parser.parse(body) as { response: Record<string, string> }).response;
    },
    pushKinds: () =>
      sandbox.state().creations.flatMap(({ pushes }) => pushes.map(({ kind }) => kind)),
  };
}
