import type { Command } from 'commander';
import { type Config, loadConfig } from '../../config/config.ts';
import { configWarnings } from '../../config/warnings.ts';
import { findOpcardEnvironments, listCredentials } from '../../db/credentials.ts';
import { type Database, type Db, openDatabase } from '../../db/database.ts';
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
import { findAccountAtStart, findStartFaults } from '../../credential/environment.ts';
import { createKeyring } from '../../security/keyring.ts';
import { checkDatabase, checkQueues } from '../check-stores.ts';
import { databaseUrlOf, runCommand } from '../run-command.ts';

/** `token-worker doctor`: checks everything that a worker needs. */
export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check configuration, database, queues and audit protection')
    .action(async () => {
      await runCommand(async () => {
        const config = loadConfig(process.env);
        say(true, 'the configuration is complete');
        for (const warning of configWarnings(config)) console.log(`??  ${warning}`);
        const url = databaseUrlOf(config);
        const database = await openDatabase({ url, poolSizeMax: 2 });
        try {
          await checkDatabase(config, url, database, say);
          await checkCredentials(config, database);
          sayOutage(config);
          await checkQueues(config, url, say);
        } finally {
          await database.close();
        }
      });
    });
}

function sayOutage({ jobs }: Config): void {
  const minutes = (outageSurvivedMs(jobs.accessToken) / 60_000).toFixed(1);
  say(
    true,
    `access tokens outlast an outage of the gateway of ${minutes} minutes, whenever it begins`,
  );
}

/** Checks the stored credentials, and whether a start with this environment is refused. */
async function checkCredentials(config: Config, { db }: Database): Promise<void> {
  const gateway = createGatewayClient(config.gateway);
  try {
    const operations = { db, keyring: createKeyring(config.encryptionKeys) };
    const { credentials, gateway: place } = config;
    await sayManagers(db);
    const faults = await findStartFaults(operations, credentials, place.environment);
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

async function sayManagers(db: Db): Promise<void> {
  const active = (await listCredentials(db)).filter(({ state }) => state === 'active');
  for (const manager of ['environment', 'command'] as const) {
    const managed = active.filter(({ managed_by: managedBy }) => managedBy === manager);
    if (managed.length === 0) continue;
    const names = managed.slice(0, namesMax).map(({ name, family }) => `"${name}" (${family})`);
    const more = managed.length > namesMax ? ` and ${managed.length - namesMax} more` : '';
    say(true, `managed by ${manager}: ${names.join(', ')}${more}`);
  }
}

const namesMax = 5;

/** A stored account that cannot be opened is reported, and the other checks go on. */
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
