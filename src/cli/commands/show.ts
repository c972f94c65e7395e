import type { Command } from 'commander';
import { findTimeline } from '../../db/audit.ts';
import { findTokenization, findTokenizationsByMerchantReference } from '../../db/tokenizations.ts';
import { AppError } from '../../domain/errors.ts';
import { runOnDatabase } from '../run-command.ts';

const idShape = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** `token-worker show`: the state of a tokenization and every audit row about it. */
export function registerShow(program: Command): void {
  program
    .command('show')
    .description('show a tokenization and its timeline')
    .argument('<reference>', 'its id, or the merchant reference')
    .action(async (reference: string) => {
      await runOnDatabase(async ({ db }) => {
        const rows = idShape.test(reference)
          ? [await findTokenization(db, reference)].filter((row) => row !== undefined)
          : await findTokenizationsByMerchantReference(db, reference);
        if (rows.length === 0) {
          throw new AppError('tokenization_not_found', 'No tokenization has this reference.');
        }
        for (const row of rows) {
          console.log(
            `${row.id}  ${row.merchant_reference_id}  ${row.state}  version ${row.version}` +
              (row.review === null ? '' : `  review: ${row.review}`),
          );
          for (const event of await findTimeline(db, row.id)) {
            const why = event.reason === null ? '' : `  ${event.reason}`;
            console.log(
              `  ${event.occurred_at.toISOString()}  ${event.entity_type} v${event.version}  ` +
                `${event.event}  ${event.from_state ?? '-'} -> ${event.to_state}${why}`,
            );
          }
        }
      });
    });
}
