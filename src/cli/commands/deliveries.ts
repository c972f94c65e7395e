import { type Command, Option } from 'commander';
import { listDeliveries } from '../../db/deliveries.ts';
import { type DeliveryState, deliveryStates } from '../../domain/delivery.ts';
import { AppError } from '../../domain/errors.ts';
import { replayDelivery } from '../../delivery/replay.ts';
import { enableWebhookEndpoint } from '../../delivery/endpoint.ts';
import { operator } from '../operator.ts';
import { runOnDatabase } from '../run-command.ts';
import { uuidArgument } from '../uuid-argument.ts';

const rowsMax = 200;

/** `token-worker deliveries`: events on their way to the merchant's backend. */
export function registerDeliveries(program: Command): void {
  const deliveries = program
    .command('deliveries')
    .description("events on their way to the merchant's backend");
  deliveries
    .command('list')
    .description('list deliveries, newest first')
    .addOption(new Option('--state <state>', 'only those in this state').choices(deliveryStates))
    .action(async ({ state }: { state?: DeliveryState }) => {
      await runOnDatabase(async ({ db }) => {
        const rows = await listDeliveries(db, state, rowsMax);
        if (rows.length === 0) console.log('There are no such deliveries.');
        for (const row of rows) {
          const reason = row.reason === null ? '' : `  ${row.reason}`;
          console.log(
            `${row.id}  ${row.created_at.toISOString()}  ${row.event_type}  ${row.tokenization_id} v${row.sequence}  ${row.state} after ${row.attempt}${reason}`,
          );
        }
      });
    });
  deliveries
    .command('replay')
    .description('deliver an event once more, under the same event id')
    .argument('<id>', 'id of the delivery', uuidArgument)
    .action(async (id: string) => {
      await runOnDatabase(async (operations) => {
        const replay = await replayDelivery(operations, id, { actor: operator });
        console.log(`Replayed as ${replay.id}; a running worker sends it.`);
      });
    });
  deliveries
    .command('enable')
    .description('enable the webhook address of MERCHANT_WEBHOOK_URL again')
    .action(async () => {
      await runOnDatabase(async (operations, { webhook }) => {
        if (webhook === undefined) {
          throw new AppError('config_invalid', 'MERCHANT_WEBHOOK_URL: set it.');
        }
        const { wasDisabled } = await enableWebhookEndpoint(operations, webhook.url, operator);
        console.log(
          wasDisabled
            ? 'Enabled; a running worker sends the held events.'
            : 'It was enabled already.',
        );
      });
    });
}
