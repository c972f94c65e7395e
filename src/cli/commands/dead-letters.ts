import type { Command } from 'commander';
import { listDeadLetters } from '../../db/dead-letters.ts';
import { operator } from '../operator.ts';
import { runOnDatabase } from '../run-command.ts';
import { uuidArgument } from '../uuid-argument.ts';
import { redriveJob } from '../../dead-letter/redrive.ts';

const rowsMax = 200;

/** `token-worker dead-letters`: jobs that failed for good. */
export function registerDeadLetters(program: Command): void {
  const deadLetters = program.command('dead-letters').description('jobs that failed for good');
  deadLetters
    .command('list')
    .description('list them, oldest first, without their payload')
    .action(async () => {
      await runOnDatabase(async ({ db }) => {
        const rows = await listDeadLetters(db, rowsMax);
        if (rows.length === 0) console.log('There are no dead letters.');
        for (const row of rows) {
          const paths = row.paths.length === 0 ? '' : ` (${row.paths.join(', ')})`;
          console.log(
            `${row.id}  ${row.created_at.toISOString()}  ${row.queue}  ${row.job_name}  ${row.code}${paths}`,
          );
        }
      });
    });
  deadLetters
    .command('redrive')
    .description('put a dead letter back on its queue')
    .argument('<id>', 'id of the dead letter', uuidArgument)
    .action(async (id: string) => {
      await runOnDatabase(async (operations) => {
        await redriveJob(operations, id, { actor: operator });
        console.log('Redriven; the relay of a running worker puts it on its queue.');
      });
    });
}
