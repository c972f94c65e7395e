import type { Command } from 'commander';
import { AppError } from '../../domain/errors.ts';
import { hashPassword } from '../../security/password.ts';
import { decodeText } from '../../gateway/decode-text.ts';
import { readStandardInput } from '../standard-input.ts';
import { generateEncryptionKey } from '../../security/keyring.ts';
import { runCommand } from '../run-command.ts';

/** `token-worker keys`: encryption keys and password hashes for the environment. */
export function registerKeys(program: Command): void {
  const keys = program.command('keys').description('encryption keys and password hashes');
  keys
    .command('password')
    .description('read a password from standard input and print its hash for CONSOLE_PASSWORD_HASH')
    .action(async () => {
      await runCommand(async () => {
        const password = decodeText(await readStandardInput()).text.replace(/\r?\n$/, '');
        if (password === '')
          throw new AppError('config_invalid', 'Send the password to standard input.');
        console.log(await hashPassword(password));
      });
    });
  keys
    .command('generate')
    .description('print a new key for ENCRYPTION_KEYS')
    .option('--id <id>', 'id of the key', 'k1')
    .action(async ({ id }: { id: string }) => {
      await runCommand(async () => {
        // Printing the key is the purpose of the command; it is stored nowhere.
        console.log(`${id}:${generateEncryptionKey(id).key.reveal()}`);
      });
    });
}
