import type { Command } from 'commander';
import { checkAuditTrail } from '../../db/audit-check.ts';
import { exitCodes } from '../../domain/exit-codes.ts';
import { runOnDatabase } from '../run-command.ts';

/** Of more breaks than this, the command prints only how many there are. */
const breaksShown = 100;

/** `token-worker audit check`: proves that every change has its audit row; exit code 1 if not. */
export function registerAudit(program: Command): void {
  program
    .command('audit')
    .description('the audit trail')
    .command('check')
    .description('prove that versions, states and audit rows agree')
    .action(async () => {
      await runOnDatabase(async ({ db }) => {
        let auditBreaks = 0;
        let tenths = 0;
        const auditRows = await checkAuditTrail(db, {
          onBreak({ entity_type, entity_id, fault }) {
            auditBreaks += 1;
            if (auditBreaks <= breaksShown) console.error(`${entity_type} ${entity_id}: ${fault}`);
          },
          onProgress(share) {
            if (share === 1 || share * 10 < tenths + 1) return;
            tenths = Math.floor(share * 10);
            console.error(`${tenths}0 % checked`);
          },
        });
        console.log(JSON.stringify({ auditRows, auditBreaks }));
        if (auditBreaks > 0) process.exitCode = exitCodes.fault;
      });
    });
}
