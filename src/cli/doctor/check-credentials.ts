import { checkAccessTokens, checkOauthPlace } from '../../access-token/check.ts';
import { checkAccount } from '../../account/check-account.ts';
import { openAccount, openSecrets } from '../../account/open-account.ts';
import type { Config } from '../../config/config.ts';
import { findAccountAtStart, findStartFaults } from '../../credential/environment.ts';
import { findOpcardEnvironments, listActiveCredentials } from '../../db/credentials.ts';
import type { Database, Db } from '../../db/connection/database.ts';
import type { CredentialRow } from '../../db/rows.ts';
import { AppError } from '../../domain/errors.ts';
import { createGatewayClient, type GatewayClient } from '../../gateway/client.ts';
import { createKeyring, type Keyring } from '../../security/keyring.ts';
import { say } from './say.ts';

/** Checks every stored credential, and whether a start with this environment is refused. */
export async function checkCredentials(config: Config, { db }: Database): Promise<void> {
  const gateway = createGatewayClient(config.gateway);
  try {
    const operations = { db, keyring: createKeyring(config.encryptionKeys) };
    const { credentials, gateway: place } = config;
    const active = await listActiveCredentials(db);
    sayManagers(active);
    const faults = await findStartFaults(operations, credentials, place.environment);
    for (const { message } of faults) say(false, `a start would be refused: ${message}`);
    await checkAccounts(active, { ...operations, gateway, config });
    for (const row of active.filter(({ family }) => family !== 'accept_payments')) {
      sayIfSealed(row, operations.keyring);
    }
    await checkOpcard(config, db, gateway);
  } finally {
    await gateway.close();
  }
}

const namesMax = 5;

function sayManagers(active: readonly CredentialRow[]): void {
  for (const manager of ['environment', 'command'] as const) {
    const managed = active.filter(({ managed_by: managedBy }) => managedBy === manager);
    if (managed.length === 0) continue;
    const names = managed.slice(0, namesMax).map(({ name, family }) => `"${name}" (${family})`);
    const more = managed.length > namesMax ? ` and ${managed.length - namesMax} more` : '';
    say(true, `managed by ${manager}: ${names.join(', ')}${more}`);
  }
}

interface AccountTools {
  readonly db: Db;
  readonly keyring: Keyring;
  readonly gateway: GatewayClient;
  readonly config: Config;
}

/**
 * Concurrent gateway calls, so that the checks of many accounts end soon even if the gateway does
 * not answer.
 */
const callsMax = 8;

/**
 * Asks the gateway about every account that a worker would use. An account that can't be opened is
 * reported, and the other checks go on.
 */
async function checkAccounts(
  active: readonly CredentialRow[],
  { db, keyring, gateway, config }: AccountTools,
): Promise<void> {
  const { credentials, gateway: place } = config;
  const stored = active.filter(
    ({ family, name }) => family === 'accept_payments' && name !== 'default',
  );
  const atStart = async () =>
    await findAccountAtStart({ db, keyring }, credentials, place.environment);
  const accounts = [
    { name: 'default', open: atStart },
    ...stored.map((row) => ({ name: row.name, open: async () => openAccount(keyring, row) })),
  ].values();
  let accepted = 0;
  let found = 0;
  await Promise.all(
    Array.from({ length: callsMax }, async () => {
      for (const { name, open } of accounts) {
        const check = await checkOne(name, open, gateway);
        if (check === undefined) continue;
        found += 1;
        if (check.isGood) accepted += 1;
        else say(false, check.sentence);
      }
    }),
  );
  if (found === 0) say(true, 'no Accept Payments account is configured');
  if (accepted === 1 && found === 1) say(true, 'the gateway accepts the account');
  if (found > 1 && accepted > 0) say(true, `the gateway accepts ${accepted} of ${found} accounts`);
}

async function checkOne(
  name: string,
  open: () => ReturnType<typeof findAccountAtStart>,
  gateway: GatewayClient,
): Promise<Awaited<ReturnType<typeof checkAccount>> | undefined> {
  try {
    const account = await open();
    return account && (await checkAccount(account, gateway, name));
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const prefix = name === 'default' ? '' : `"${name}" (accept_payments): `;
    return { isGood: false, sentence: `${prefix}${error.message}` };
  }
}

/** Reports secrets that no key of ENCRYPTION_KEYS opens: every job of the credential would fail. */
function sayIfSealed(row: CredentialRow, keyring: Keyring): void {
  try {
    openSecrets(keyring, row);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    say(false, `"${row.name}" (${row.family}): ${error.message}`);
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
