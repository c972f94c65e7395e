import type { Command } from 'commander';
import { countAuditEvents, findAuditBreaks } from '../../db/audit.ts';
import { exitCodes } from '../../domain/exit-codes.ts';
import { runOnDatabase } from '../run-command.ts';

/** `token-worker audit check`: proves that every change has its audit row; exit code 1 if not. */
export function registerAudit(program: Command): void {
  program
    .command('audit')
    .description('the audit trail')
    .command('check')
    .description('prove that versions, states and audit rows agree')
    .action(async () => {
      await runOnDatabase(async ({ db }) => {
        const breaks = await findAuditBreaks(db);
        for (const { entity_type, entity_id, fault } of breaks) {
          console.error(`${entity_type} ${entity_id}: ${fault}`);
        }
        console.log(
          JSON.stringify({ auditRows: await countAuditEvents(db), auditBreaks: breaks.length }),
        );
        if (breaks.length > 0) process.exitCode = exitCodes.fault;
      });
    });
}
