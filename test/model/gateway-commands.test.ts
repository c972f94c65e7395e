import fc from 'fast-check';
import { expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import {
  type JobHarness,
  openJobHarness,
  redirectWithoutPush,
  type TestMessage,
} from '../support/harness/job-harness.ts';
import { test } from '../support/harness/fixtures.ts';

/**
 * Random commands against the real jobs, PostgreSQL and the gateway sandbox. In the end the
 * worker's state must be what the gateway answers. `truth` is what the gateway knows.
 */
interface Model {
  truth: 'undecided' | 'approved' | 'declined' | 'disabled';
  isExpiring: boolean;
  quickpayId: string;
}

interface Real {
  readonly harness: JobHarness;
  readonly id: string;
}

type Command = fc.AsyncCommand<Model, Real>;

/** After each step a tokenization may only be active when the gateway has a usable token. */
async function check(model: Readonly<Model>, { harness, id }: Real): Promise<void> {
  const { state, quickpay_id_sealed: sealed } = await harness.row(id);
  const isUsable = model.truth === 'approved';
  expect(state === 'active' && !isUsable && model.truth !== 'disabled').toBe(false);
  expect(state === 'active' && sealed === null).toBe(false);
}

class Decide implements Command {
  private readonly decision: 'approve' | 'decline';
  constructor(decision: 'approve' | 'decline') {
    this.decision = decision;
  }
  check = ({ truth }: Readonly<Model>): boolean => truth === 'undecided';
  async run(model: Model, real: Real): Promise<void> {
    model.quickpayId = await real.harness.decide(real.id, this.decision);
    model.truth = this.decision === 'approve' ? 'approved' : 'declined';
    await check(model, real);
  }
  toString = (): string => `the customer decides: ${this.decision}`;
}

class Receive implements Command {
  private readonly channel: 'notify' | 'redirect';
  private readonly message: TestMessage;
  private readonly isForged: boolean;
  constructor(channel: 'notify' | 'redirect', status: TestMessage['status'], isForged: boolean) {
    this.channel = channel;
    this.isForged = isForged;
    this.message = { status };
  }
  check = ({ truth }: Readonly<Model>): boolean =>
    // The gateway sends nothing before the customer has decided.
    this.isForged || truth !== 'undecided';
  async run(model: Model, real: Real): Promise<void> {
    const genuine = model.truth === 'approved' || model.truth === 'disabled' ? '1' : '0';
    const isProven = !this.isForged && this.channel === 'notify';
    await real.harness.receive(real.id, this.channel, {
      status: this.isForged ? this.message.status : genuine,
      isProven,
      quickpayId: this.isForged || model.quickpayId === '' ? 'made-up-id' : model.quickpayId,
    });
    await check(model, real);
  }
  toString = (): string =>
    `${this.isForged ? `forged ${this.message.status}` : 'genuine'} by ${this.channel}`;
}

class Confirm implements Command {
  private readonly isSilent: boolean;
  constructor(isSilent: boolean) {
    this.isSilent = isSilent;
  }
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    const { sandbox, confirm, makeDue, row } = real.harness;
    const before = await row(real.id);
    if (this.isSilent) sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query', 'cancel'] });
    await makeDue(real.id);
    await confirm(real.id);
    sandbox.setFaults({ errorRate5xx: 0 });
    if (this.isSilent) expect((await row(real.id)).state).toBe(before.state);
    await check(model, real);
  }
  toString = (): string => (this.isSilent ? 'queried without an answer' : 'queried');
}

class PassDeadline implements Command {
  check = ({ isExpiring }: Readonly<Model>): boolean => !isExpiring;
  async run(model: Model, real: Real): Promise<void> {
    model.isExpiring = true;
    await real.harness.passDeadline(real.id);
    await check(model, real);
  }
  toString = (): string => 'the deadline passes';
}

class Disable implements Command {
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    const before = await real.harness.row(real.id);
    const result = await real.harness.run('token.disable', { tokenizationId: real.id });
    if (before.state === 'active') {
      expect(result).toBe('disabled');
      model.truth = 'disabled';
    }
    await check(model, real);
  }
  toString = (): string => 'disable';
}

const commands = fc.commands(
  [
    fc.constantFrom('approve', 'decline').map((decision) => new Decide(decision)),
    fc
      .tuple(fc.constantFrom('notify', 'redirect'), fc.constantFrom('1', '0', '-1'), fc.boolean())
      .map(([channel, status, isForged]) => new Receive(channel, status, isForged)),
    fc.boolean().map((isSilent) => new Confirm(isSilent)),
    fc.constant(new PassDeadline()),
    fc.constant(new Disable()),
  ],
  { maxCommands: 14 },
);

test('random messages, decisions and queries end in the state that the gateway knows', async ({
  database,
  door,
  databaseUrl,
}) => {
  const harness = await openJobHarness({ db: database.db, door, databaseUrl });
  try {
    await fc.assert(
      fc.asyncProperty(commands, async (cmds) => {
        const { id } = await harness.open(redirectWithoutPush);
        const model: Model = { truth: 'undecided', isExpiring: false, quickpayId: '' };
        await fc.asyncModelRun(() => ({ model, real: { harness, id } }), cmds);
        await harness.passDeadline(id);
        await harness.confirm(id);
        await harness.makeDue(id);
        await harness.confirm(id);
        const { state } = await harness.row(id);
        const ends = {
          undecided: ['expired'],
          approved: ['active'],
          declined: ['failed', 'expired'],
          disabled: ['disabled'],
        };
        expect(ends[model.truth]).toContain(state);
      }),
      // On a busy machine fewer runs are enough.
      { numRuns: 60, interruptAfterTimeLimit: 30_000 },
    );
    expect(await findAuditBreaks(database.db)).toEqual([]);
  } finally {
    await harness.close();
  }
});
