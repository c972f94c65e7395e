import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { listCredentials, type ListedCredential } from '../../db/credentials.ts';
import {
  type CredentialEnvironment,
  credentialEnvironments,
  credentialFamilies,
  type CredentialFamily,
} from '../../domain/credential.ts';
import { credentialName } from '../../domain/payload/job-payloads.ts';
import { addCredential } from '../../credential/add.ts';
import { releaseCredential } from '../../credential/managed-by.ts';
import { removeCredential } from '../../credential/remove.ts';
import { endOverlap, rotateCredential } from '../../credential/rotate.ts';
import { readJsonInput } from '../json-input.ts';
import { operator } from '../operator.ts';
import { runCommand, withOperations } from '../run-command.ts';

/**
 * `token-worker credentials`: the gateway credentials of all three families. Secrets are never
 * printed.
 */
export function registerCredentials(program: Command): void {
  const credentials = program
    .command('credentials')
    .description(
      'gateway credentials of Accept Payments, OPCard and OPCCOUNT; secrets come on standard input',
    );
  registerAdd(credentials);
  registerList(credentials);
  registerRotate(credentials);
  keyCommand(credentials, 'remove')
    .description('stop using a credential and clear its access token')
    .action(async (name: string, { family }: KeyOptions) => {
      await runCommand(async () => {
        await withOperations(async (operations) => {
          await removeCredential(operations, { name, family }, operator);
          console.log('removed');
        });
      });
    });
  keyCommand(credentials, 'release')
    .description('manage by command a credential that environment variables no longer name')
    .action(async (name: string, { family }: KeyOptions) => {
      await runCommand(async () => {
        await withOperations(async (operations) => {
          console.log(await releaseCredential(operations, { name, family }, operator));
        });
      });
    });
}

function registerAdd(credentials: Command): void {
  keyCommand(credentials, 'add')
    .description('store a credential; its content is read as JSON')
    .addOption(
      new Option('--environment <environment>', 'where it belongs')
        .choices(credentialEnvironments)
        .default('sandbox'),
    )
    .option('--file <path>', 'the content; standard input when left out')
    .action(async (name: string, { family, environment, file }: AddOptions) => {
      await runCommand(async () => {
        const content = await readJsonInput(file);
        await withOperations(async (operations) => {
          const key = { name, family };
          console.log(await addCredential(operations, key, environment, content, operator));
        });
      });
    });
}

function registerList(credentials: Command): void {
  credentials
    .command('list')
    .description('list credentials, what manages each, and its access token; never a secret')
    .action(async () => {
      await runCommand(async () => {
        await withOperations(async ({ db }) => {
          const rows = await listCredentials(db);
          if (rows.length === 0) console.log('There are no credentials.');
          for (const row of rows) console.log(lineOf(row));
        });
      });
    });
}

function registerRotate(credentials: Command): void {
  keyCommand(credentials, 'rotate')
    .description('replace secrets; the worker accepts the former secure code until --end-overlap')
    .option('--file <path>', 'the new secrets; standard input when left out')
    .addOption(
      new Option(
        '--end-overlap',
        'drop the former secure codes and change nothing else; reads no content',
      ).conflicts('file'),
    )
    .action(async (name: string, { family, file, endOverlap: isEnding }: RotateOptions) => {
      await runCommand(async () => {
        const content = isEnding === true ? undefined : await readJsonInput(file);
        await withOperations(async (operations) => {
          const key = { name, family };
          const result =
            isEnding === true
              ? await endOverlap(operations, key, operator)
              : await rotateCredential(operations, key, content, operator);
          console.log(result);
        });
      });
    });
}

interface KeyOptions {
  readonly family: CredentialFamily;
}

interface AddOptions extends KeyOptions {
  readonly environment: CredentialEnvironment;
  readonly file?: string;
}

interface RotateOptions extends KeyOptions {
  readonly file?: string;
  readonly endOverlap?: boolean;
}

/** A command on the credential of a name and family. */
function keyCommand(credentials: Command, command: string): Command {
  const name = new Argument('<name>', 'name of the credential').argParser((text) => {
    const parsed = credentialName.safeParse(text);
    if (parsed.success) return parsed.data;
    throw new InvalidArgumentError('Use lower-case letters, digits, - and _, at most 63.');
  });
  const family = new Option('--family <family>', 'kind of credential').choices(credentialFamilies);
  return credentials.command(command).addArgument(name).addOption(family.makeOptionMandatory());
}

function lineOf(row: ListedCredential): string {
  const place = row.account === null ? '' : `  ${row.account} ${row.terminal ?? ''}`;
  const { tokenState, tokenGeneration, tokenLeftMs } = row;
  const left =
    tokenLeftMs === null ? 'no token' : `${Math.floor(Math.max(0, tokenLeftMs) / 1_000)} s left`;
  const token =
    tokenState === null || row.state === 'removed'
      ? ''
      : `  token ${tokenState}, generation ${tokenGeneration ?? 0}, ${left}`;
  const manager = row.state === 'removed' ? '' : `  managed by ${row.managed_by}`;
  return `${row.name}  ${row.family}  ${row.environment}${place}  ${row.state}${manager}  since ${row.updated_at.toISOString()}${token}`;
}
