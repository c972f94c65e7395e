import type { Command } from 'commander';
import { listApiKeys } from '../../db/api-keys.ts';
import { type ApiScope, apiScopes, isApiScope } from '../../domain/api-key.ts';
import { AppError } from '../../domain/errors.ts';
import { addApiKey, revokeApiKey } from '../../http/api/store-api-key.ts';
import { operator } from '../operator.ts';
import { runCommand, runOnDatabase, withOperations } from '../run-command.ts';

/** `token-worker api-keys`: the stored keys of the HTTP API. Running workers need no restart. */
export function registerApiKeys(program: Command): void {
  const apiKeys = program.command('api-keys').description('stored keys of the HTTP API');
  apiKeys
    .command('add')
    .description('store a new key and print it, this once')
    .argument('<name>', 'its holder, which is the actor in the audit trail')
    .option('--scopes <list>', `comma-separated: ${apiScopes.join(', ')}`, apiScopes.join(','))
    .action(async (name: string, { scopes: list }: { scopes: string }) => {
      await runCommand(async () => {
        const scopes = parseScopes(list);
        await withOperations(async (operations) => {
          // Printing the key is the purpose of the command; only its digest is stored.
          console.log((await addApiKey(operations, { name, scopes }, operator)).reveal());
        });
      });
    });
  apiKeys
    .command('list')
    .description('list the keys, without their values')
    .action(async () => {
      await runOnDatabase(async ({ db }) => {
        const rows = await listApiKeys(db);
        if (rows.length === 0) console.log('There are no stored keys.');
        for (const { name, state, scopes, created_at: createdAt } of rows) {
          console.log(`${name}  ${state}  ${scopes.join('+')}  ${createdAt.toISOString()}`);
        }
      });
    });
  apiKeys
    .command('revoke')
    .description('revoke a key')
    .argument('<name>', 'its name, as the list prints it')
    .action(async (name: string) => {
      await runOnDatabase(async (operations) => {
        await revokeApiKey(operations, name, operator);
        console.log(
          'Revoked. Workers refuse it within 6 seconds, or within 10 minutes while PostgreSQL does not answer.',
        );
      });
    });
}

function parseScopes(list: string): readonly ApiScope[] {
  const wanted = list.split(/[,+]/).map((name) => name.trim());
  if (wanted.every(isApiScope)) return [...new Set(wanted)];
  throw new AppError('config_invalid', `--scopes: name any of ${apiScopes.join(', ')}.`);
}
