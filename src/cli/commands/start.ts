import type { Command } from 'commander';
import { startApp } from '../../app.ts';
import { loadConfig } from '../../config/config.ts';
import { configWarnings } from '../../config/warnings.ts';
import { startEmbeddedPostgres } from '../../db/connection/embedded-postgres.ts';
import { migrate } from '../../db/connection/migrate.ts';
import { AppError } from '../../domain/errors.ts';
import { exitCodes } from '../../domain/exit-codes.ts';
import { type Role, roles } from '../../domain/roles.ts';
import { createLogger } from '../../observability/logger.ts';
import { migrateQueueSchema } from '../../queues/postgres-schema.ts';
import { runCommand } from '../run-command.ts';
import { untilStopSignal } from '../stop-signal.ts';

/** `token-worker start`: the long-lived worker. */
export function registerStart(program: Command): void {
  program
    .command('start')
    .description('run the worker until it receives SIGTERM or SIGINT')
    .option('--roles <list>', 'what this process does, comma-separated', roles.join(','))
    .action(async (options: { roles: string }) => {
      await runCommand(async () => await runWorker(parseRoles(options.roles)));
    });
}

async function runWorker(wanted: ReadonlySet<Role>): Promise<void> {
  const config = loadConfig(process.env);
  const logger = createLogger({ level: config.logLevel });
  for (const warning of configWarnings(config)) logger.warn({}, warning);
  const stopSignal = untilStopSignal();
  const embedded =
    config.database.url === undefined ? await startEmbedded(config.queue.backend) : undefined;
  const databaseUrl = config.database.url ?? embedded?.url ?? '';
  try {
    const app = await startApp({ config, databaseUrl, roles: wanted, logger });
    logger.info({ roles: [...wanted], queues: app.backend.kind, ...app.urls }, 'the worker is up');
    const signal = await stopSignal;
    logger.info({ signal }, 'stopping');
    const { isClean, late } = await app.stop();
    if (!isClean) {
      logger.error({ late }, 'the shutdown deadline passed');
      process.exitCode = exitCodes.deadlinePassed;
    }
  } finally {
    await embedded?.close();
  }
  // A connection that hangs past the deadline must not keep the process; logging is synchronous.
  process.exit();
}

async function startEmbedded(backend: 'redis' | 'postgres') {
  const embedded = await startEmbeddedPostgres();
  await migrate(embedded.url);
  if (backend === 'postgres') await migrateQueueSchema(embedded.url);
  return embedded;
}

function parseRoles(list: string): ReadonlySet<Role> {
  const wanted = list.split(',').map((name) => name.trim());
  const unknown = wanted.filter((name) => !(roles as readonly string[]).includes(name));
  if (unknown.length > 0) {
    throw new AppError('config_invalid', `--roles: name any of ${roles.join(', ')}.`);
  }
  return new Set(roles.filter((role) => wanted.includes(role)));
}
