import type { Command } from 'commander';
import { loadConfig } from '../../config/config.ts';
import { migrate } from '../../db/connection/migrate.ts';
import { migrateQueueSchema } from '../../queues/postgres-schema.ts';
import { databaseUrlOf, runCommand } from '../run-command.ts';

/** `token-worker migrate`: migrates the database; concurrent runs are safe. */
export function registerMigrate(program: Command): void {
  program
    .command('migrate')
    .description('migrate the database named in DATABASE_URL')
    .action(async () => {
      await runCommand(async () => {
        const config = loadConfig(process.env, { isKeyless: true });
        const url = config.database.listenUrl ?? databaseUrlOf(config);
        const { applied } = await migrate(url);
        if (config.queue.backend === 'postgres') await migrateQueueSchema(url);
        console.log(
          applied.length === 0 ? 'The schema is up to date.' : `Applied: ${applied.join(', ')}`,
        );
      });
    });
}
