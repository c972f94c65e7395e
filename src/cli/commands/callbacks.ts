import { type Command, Option } from 'commander';
import { listCallbacks } from '../../db/callbacks.ts';
import { type CallbackState, callbackStates } from '../../domain/callback.ts';
import { replayCallback } from '../../callback/replay.ts';
import { operator } from '../operator.ts';
import { runOnDatabase } from '../run-command.ts';
import { uuidArgument } from '../uuid-argument.ts';

const rowsMax = 200;

/** `token-worker callbacks`: the inbox of the gateway's messages. */
export function registerCallbacks(program: Command): void {
  const callbacks = program.command('callbacks').description("the inbox of the gateway's messages");
  callbacks
    .command('list')
    .description('list messages, newest first, without their content')
    .addOption(new Option('--state <state>', 'only those in this state').choices(callbackStates))
    .action(async ({ state }: { state?: CallbackState }) => {
      await runOnDatabase(async ({ db }) => {
        const rows = await listCallbacks(db, state, rowsMax);
        if (rows.length === 0) console.log('There are no such callbacks.');
        for (const row of rows) {
          const reason = row.reason === null ? '' : `  ${row.reason}`;
          const about = row.merchant_reference_id ?? row.order_reference_id ?? '-';
          console.log(
            `${row.id}  ${row.received_at.toISOString()}  ${row.channel}  ${row.state}${reason}  seen ${row.seen_count}  ${about}`,
          );
        }
      });
    });
  callbacks
    .command('replay')
    .description('judge a stored message again')
    .argument('<id>', 'id of the callback', uuidArgument)
    .action(async (id: string) => {
      await runOnDatabase(async (operations) => {
        const { isReplayed } = await replayCallback(operations, id, {
          actor: operator,
        });
        console.log(
          isReplayed
            ? 'Replayed; a running worker judges it again.'
            : 'It still waits for its verdict; nothing to do.',
        );
      });
    });
}
