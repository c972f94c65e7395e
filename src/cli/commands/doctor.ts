import type { Command } from 'commander';
import { type Config, loadConfig } from '../../config/config.ts';
import { type Database, openDatabase, ping } from '../../db/database.ts';
import { listAuditPartitions } from '../../db/audit.ts';
import { outageSurvivedMs } from '../../domain/access-token-times.ts';
import { exitCodes } from '../../domain/exit-codes.ts';
import { createGatewayClient } from '../../gateway/client.ts';
import { checkAccount } from '../../jobs/check-account.ts';
import { findAccountAtStart } from '../../jobs/store-configured-credentials.ts';
import { openQueueBackend } from '../../queues/backend.ts';
import { createKeyring } from '../../security/keyring.ts';
import { databaseUrlOf, runCommand } from '../run-command.ts';

/** `token-worker doctor`: looks at everything a worker needs, and says what would go wrong. */
export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check configuration, database, queues and audit protection')
    .action(async () => {
      await runCommand(async () => {
        const config = loadConfig(process.env);
        say(true, 'the configuration is complete');
        const url = databaseUrlOf(config);
        const database = await openDatabase({ url, poolSizeMax: 2 });
        try {
          await ping(database.db);
          say(true, 'the database answers and its schema is there');
          say(
            database.isRestricted,
            database.isRestricted
              ? 'the worker runs as token_lifecycle_app, which cannot change audit rows'
              : 'the login cannot take on token_lifecycle_app: only triggers guard the audit table',
          );
          const ahead = (await listAuditPartitions(database.db)).length - 1;
          say(ahead >= 1, `the audit table has partitions for ${ahead} months ahead`);
          await checkAccountAtStart(config, database);
          say(true, outageSentence(config));
          const backend = await openQueueBackend(
            config.queue.backend === 'redis'
              ? { kind: 'redis', urls: config.queue.redisUrls, prefix: config.queue.prefix }
              : { kind: 'postgres', databaseUrl: url, isRestricted: database.isRestricted },
            () => undefined,
          );
          try {
            await backend.ping();
            say(true, `the queues answer (${backend.kind})`);
          } finally {
            await backend.close();
          }
        } finally {
          await database.close();
        }
      });
    });
}

function outageSentence({ accessToken }: Config): string {
  const minutes = outageSurvivedMs(accessToken) / 60_000;
  return `access tokens outlast an outage of the gateway of ${minutes.toFixed(1)} minutes, whenever it begins`;
}

/** Checks the account that a start would work with. */
async function checkAccountAtStart(config: Config, { db }: Database): Promise<void> {
  const gateway = createGatewayClient(config.gateway);
  try {
    const keyring = createKeyring(config.encryptionKeys);
    const { credentials, gateway: place } = config;
    const account = await findAccountAtStart({ db, keyring }, credentials, place.environment);
    const check = account && (await checkAccount(account, gateway));
    say(check?.isGood ?? true, check?.sentence ?? 'no Accept Payments account is configured');
  } finally {
    await gateway.close();
  }
}

function say(isGood: boolean, sentence: string): void {
  console.log(`${isGood ? 'ok ' : '!! '} ${sentence}`);
  if (!isGood) process.exitCode = exitCodes.fault;
}
