import type { Command } from 'commander';
import { listApiKeys } from '../../db/api-keys.ts';
import { type ApiScope, apiScopes, isApiScope } from '../../domain/api-key.ts';
import { AppError } from '../../domain/errors.ts';
import { hashPassword } from '../../security/password.ts';
import { operator } from '../operator.ts';
import { readStandardInput } from '../standard-input.ts';
import { generateEncryptionKey } from '../../security/keyring.ts';
import { addApiKey, revokeApiKey } from '../../http/api/store-api-key.ts';
import { runCommand, withOperations } from '../run-command.ts';

/** `token-worker keys`: encryption keys, password hashes, and the stored keys of the HTTP API. */
export function registerKeys(program: Command): void {
  const keys = program
    .command('keys')
    .description('encryption keys, password hashes and keys of the HTTP API');
  keys
    .command('password')
    .description('read a password from standard input and print what CONSOLE_PASSWORD_HASH takes')
    .action(async () => {
      await runCommand(async () => {
        const password = (await readStandardInput()).replace(/\r?\n$/, '');
        if (password === '')
          throw new AppError('config_invalid', 'Send the password to standard input.');
        console.log(await hashPassword(password));
      });
    });
  keys
    .command('generate')
    .description('print a fresh key in the form that ENCRYPTION_KEYS takes')
    .option('--id <id>', 'id of the key', 'k1')
    .action(async ({ id }: { id: string }) => {
      await runCommand(async () => {
        // Printing the key is what the command is for; it is stored nowhere.
        console.log(`${id}:${generateEncryptionKey(id).key.reveal()}`);
      });
    });
  registerApiKeys(keys);
}

/** `keys api-add`, `api-list`, `api-revoke`: every process of the worker follows within seconds, without a restart. */
function registerApiKeys(keys: Command): void {
  keys
    .command('api-add')
    .description('store a new key of the HTTP API and print it, this once')
    .argument('<name>', 'who will use it; the actor in the audit trail')
    .option('--scopes <list>', `comma-separated: ${apiScopes.join(', ')}`, apiScopes.join(','))
    .action(async (name: string, { scopes }: { scopes: string }) => {
      await runCommand(async () => {
        const wanted = parseScopes(scopes);
        await withOperations(async (operations) => {
          // Printing the key is what the command is for; only its digest is stored.
          console.log((await addApiKey(operations, { name, scopes: wanted }, operator)).reveal());
        });
      });
    });
  keys
    .command('api-list')
    .description('list the stored keys of the HTTP API')
    .action(async () => {
      await runCommand(async () => {
        await withOperations(async ({ db }) => {
          const rows = await listApiKeys(db);
          if (rows.length === 0) console.log('There are no stored keys.');
          for (const { name, state, scopes, created_at: createdAt } of rows) {
            console.log(`${name}  ${state}  ${scopes.join('+')}  ${createdAt.toISOString()}`);
          }
        });
      });
    });
  keys
    .command('api-revoke')
    .description('revoke a stored key of the HTTP API')
    .argument('<name>', 'its name, as api-list prints it')
    .action(async (name: string) => {
      await runCommand(async () => {
        await withOperations(async (operations) => {
          await revokeApiKey(operations, name, operator);
          console.log('Revoked; running workers refuse it within 5 seconds.');
        });
      });
    });
}

function parseScopes(list: string): readonly ApiScope[] {
  const wanted = list.split(/[,+]/).map((name) => name.trim());
  if (wanted.every(isApiScope)) return [...new Set(wanted)];
  throw new AppError('config_invalid', `--scopes: name any of ${apiScopes.join(', ')}.`);
}
