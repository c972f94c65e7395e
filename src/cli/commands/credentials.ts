import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { listCredentials, type ListedCredential } from '../../db/credentials.ts';
import {
  type CredentialEnvironment,
  credentialEnvironments,
  credentialFamilies,
  type CredentialFamily,
} from '../../domain/credential.ts';
import { credentialName } from '../../domain/job-payloads.ts';
import { removeCredential } from '../../credential/remove.ts';
import { addCredential, endOverlap, rotateCredential } from '../../credential/rotate.ts';
import { readJsonInput } from '../json-input.ts';
import { operator } from '../operator.ts';
import { runCommand, withOperations } from '../run-command.ts';

/** `token-worker credentials`: the API keys of all three families, sealed at rest and never shown. */
export function registerCredentials(program: Command): void {
  const credentials = program
    .command('credentials')
    .description(
      'API keys of Accept Payments, OPCard and OPCCOUNT; secrets come on standard input',
    );
  credentials
    .command('add')
    .description('store a credential; its content is read as JSON')
    .addArgument(nameArgument())
    .addOption(familyOption())
    .addOption(
      new Option('--environment <environment>', 'where it belongs')
        .choices(credentialEnvironments)
        .default('sandbox'),
    )
    .option('--file <path>', 'the content; standard input when left out')
    .action(async (name: string, options: AddOptions) => {
      await runCommand(async () => {
        const content = await readJsonInput(options.file);
        await withOperations(async (operations) => {
          const key = { name, family: options.family };
          console.log(await addCredential(operations, key, options.environment, content, operator));
        });
      });
    });
  credentials
    .command('list')
    .description('list credentials and the state of their access tokens; never a secret')
    .action(async () => {
      await runCommand(async () => {
        await withOperations(async ({ db }) => {
          const rows = await listCredentials(db);
          if (rows.length === 0) console.log('There are no credentials.');
          for (const row of rows) console.log(lineOf(row));
        });
      });
    });
  credentials
    .command('rotate')
    .description('replace secrets; the former secure code verifies on until --end-overlap')
    .addArgument(nameArgument())
    .addOption(familyOption())
    .option('--file <path>', 'the new secrets; standard input when left out')
    .addOption(
      new Option(
        '--end-overlap',
        'forget the former secure codes, and nothing else: no content is read',
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
  credentials
    .command('remove')
    .description('stop using a credential and forget its access token')
    .addArgument(nameArgument())
    .addOption(familyOption())
    .action(async (name: string, { family }: { family: CredentialFamily }) => {
      await runCommand(async () => {
        await withOperations(async (operations) => {
          await removeCredential(operations, { name, family }, operator);
          console.log('removed');
        });
      });
    });
}

interface AddOptions {
  readonly family: CredentialFamily;
  readonly environment: CredentialEnvironment;
  readonly file?: string;
}

interface RotateOptions {
  readonly family: CredentialFamily;
  readonly file?: string;
  readonly endOverlap?: boolean;
}

function nameArgument(): Argument {
  return new Argument('<name>', 'name of the credential').argParser((text) => {
    const parsed = credentialName.safeParse(text);
    if (!parsed.success) {
      throw new InvalidArgumentError('Use lower-case letters, digits, - and _, at most 63.');
    }
    return parsed.data;
  });
}

function familyOption(): Option {
  return new Option('--family <family>', 'kind of API keys')
    .choices(credentialFamilies)
    .makeOptionMandatory();
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
  return `${row.name}  ${row.family}  ${row.environment}${place}  ${row.state}  since ${row.updated_at.toISOString()}${token}`;
}
