import type { Command } from 'commander';
import { type Config, loadConfig } from '../../config/config.ts';
import { configWarnings } from '../../config/warnings.ts';
import { countWaitingWork } from '../../db/waiting-work.ts';
import { type Db, openDatabase } from '../../db/connection/database.ts';
import { outageSurvivedMs } from '../../domain/access-token-times.ts';
import { checkCreations } from '../doctor/check-creations.ts';
import { checkCredentials } from '../doctor/check-credentials.ts';
import { checkPostgres } from '../doctor/check-postgres.ts';
import { checkStores } from '../doctor/check-stores.ts';
import { checkWebhook } from '../doctor/check-webhook.ts';
import { note, say } from '../doctor/say.ts';
import { databaseUrlOf, runCommand } from '../run-command.ts';

/** `token-worker doctor`: checks everything that a worker needs. */
export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check configuration, stores, credentials, gateway and webhook')
    .action(async () => {
      await runCommand(async () => {
        const config = loadConfig(process.env);
        say(true, 'the configuration is complete');
        for (const warning of configWarnings(config)) note(warning);
        const url = databaseUrlOf(config);
        const database = await openDatabase({ url, poolSizeMax: 2 });
        try {
          await checkPostgres(config, database, url);
          await checkStores(config, database, url);
          await checkCredentials(config, database);
          await checkCreations(database.db);
          sayOutage(config);
          await checkWebhook(config, database.db);
          await noteWaitingWork(database.db);
        } finally {
          await database.close();
        }
      });
    });
}

function sayOutage({ jobs }: Config): void {
  const minutes = (outageSurvivedMs(jobs.accessToken) / 60_000).toFixed(1);
  say(true, `access tokens survive a gateway outage of ${minutes} minutes, whenever it begins`);
}

async function noteWaitingWork(db: Db): Promise<void> {
  const { deadLetters, orphans, heldDeliveries } = await countWaitingWork(db);
  if (deadLetters > 0) note(`${deadLetters} dead letters: "token-worker dead-letters list"`);
  if (orphans > 0) {
    note(
      `${orphans} messages without a tokenization: "token-worker callbacks list --state orphaned"`,
    );
  }
  if (heldDeliveries > 0) {
    note(`${heldDeliveries} held events: "token-worker deliveries list --state held"`);
  }
}
