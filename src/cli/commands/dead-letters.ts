import type { Command } from 'commander';
import { listDeadLetters } from '../../db/dead-letters.ts';
import { operator } from '../operator.ts';
import { runCommand, withOperations } from '../run-command.ts';
import { uuidArgument } from '../uuid-argument.ts';
import { redriveJob } from '../../dead-letter/redrive.ts';

const rowsMax = 200;

/** `token-worker dead-letters` and `token-worker redrive`: work that could not be done. */
export function registerDeadLetters(program: Command): void {
  program
    .command('dead-letters')
    .description('list jobs that could not be done, oldest first')
    .action(async () => {
      await runCommand(async () => {
        await withOperations(async ({ db }) => {
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
    });
  program
    .command('redrive')
    .description('put a dead letter back on its queue')
    .argument('<id>', 'id of the dead letter', uuidArgument)
    .action(async (id: string) => {
      await runCommand(async () => {
        await withOperations(async (operations) => {
          await redriveJob(operations, id, { actor: operator });
          console.log('Redriven; the relay of a running worker puts it on its queue.');
        });
      });
    });
}
