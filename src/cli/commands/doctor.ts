import type { Command } from 'commander';
import { type Config, loadConfig } from '../../config/config.ts';
import { findOpcardEnvironments } from '../../db/credentials.ts';
import { type Database, type Db, openDatabase, ping } from '../../db/database.ts';
import { listAuditPartitions } from '../../db/audit.ts';
import { outageSurvivedMs } from '../../domain/access-token-times.ts';
import { AppError } from '../../domain/errors.ts';
import { exitCodes } from '../../domain/exit-codes.ts';
import {
  type AcceptPaymentsAccount,
  createGatewayClient,
  type GatewayClient,
} from '../../gateway/client.ts';
import { checkAccessTokens, checkOauthPlace } from '../../access-token/check.ts';
import { checkAccount } from '../../account/check-account.ts';
import { findAccountAtStart, findFaultsAtStart } from '../../credential/sync-environment.ts';
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
          await checkCredentials(config, database);
          sayOutage(config);
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

function sayOutage({ accessToken }: Config): void {
  const survivedMs = outageSurvivedMs(accessToken);
  say(
    survivedMs > 0,
    survivedMs > 0
      ? `access tokens outlast an outage of the gateway of ${(survivedMs / 60_000).toFixed(1)} minutes, whenever it begins`
      : 'access tokens outlast no outage of the gateway: lower ACCESS_TOKEN_DUE_FRACTION',
  );
}

/** Checks what a start would make of the credentials of the environment, and what there is already. */
async function checkCredentials(config: Config, { db }: Database): Promise<void> {
  const gateway = createGatewayClient(config.gateway);
  try {
    const operations = { db, keyring: createKeyring(config.encryptionKeys) };
    const { credentials, gateway: place } = config;
    const faults = await findFaultsAtStart(operations, credentials, place.environment);
    for (const { message } of faults) say(false, `a start would be refused: ${message}`);
    await sayAccount(
      async () => await findAccountAtStart(operations, credentials, place.environment),
      gateway,
    );
    await checkOpcard(config, db, gateway);
  } finally {
    await gateway.close();
  }
}

/** One that can't be opened is said, and what else there is to check goes on. */
async function sayAccount(
  find: () => Promise<AcceptPaymentsAccount | undefined>,
  gateway: GatewayClient,
): Promise<void> {
  try {
    const account = await find();
    const check = account && (await checkAccount(account, gateway));
    say(check?.isGood ?? true, check?.sentence ?? 'no Accept Payments account is configured');
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    say(false, error.message);
  }
}

async function checkOpcard(config: Config, db: Db, gateway: GatewayClient): Promise<void> {
  const stored = await findOpcardEnvironments(db);
  const configured = config.credentials.opcard && [config.gateway.environment];
  const environments = new Set([...stored, ...(configured ?? [])]);
  if (environments.size === 0) return say(true, 'no OPCard application is configured');
  const checks = stored.length === 0 ? [] : [...(await checkAccessTokens(db))];
  for (const environment of environments) {
    checks.push(await checkOauthPlace(gateway, environment));
  }
  for (const { isGood, sentence } of checks) say(isGood, sentence);
}

function say(isGood: boolean, sentence: string): void {
  console.log(`${isGood ? 'ok ' : '!! '} ${sentence}`);
  if (!isGood) process.exitCode = exitCodes.fault;
}
