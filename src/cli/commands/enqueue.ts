import type { Command } from 'commander';
import { AppError } from '../../domain/errors.ts';
import { acceptTokenization } from '../../tokenization/request/accept.ts';
import { disableToken, parseDisableTarget } from '../../tokenization/token/disable.ts';
import { readJsonInput } from '../json-input.ts';
import { operator } from '../operator.ts';
import { runCommand, withOperations } from '../run-command.ts';
import { parsePayload } from '../../domain/payload/payload-paths.ts';

/** `token-worker enqueue`: accepts a request or disables a token. */
export function registerEnqueue(program: Command): void {
  program
    .command('enqueue')
    .description(
      'enqueue a tokenization.request or token.disable, read as JSON from a file or standard input',
    )
    .argument('<job>', 'tokenization.request or token.disable')
    .option('--file <path>', 'the payload; standard input when left out')
    .action(async (job: string, { file }: { file?: string }) => {
      await runCommand(async () => {
        if (job !== 'tokenization.request' && job !== 'token.disable') {
          throw new AppError(
            'job_unknown',
            'This command takes tokenization.request and token.disable.',
          );
        }
        const input = await readJsonInput(file);
        if (job === 'token.disable') {
          const target = parseDisableTarget(input);
          await withOperations(async (operations) => {
            const { id, state } = await disableToken(operations, target, {
              actor: operator,
            });
            console.log(JSON.stringify({ id, state }));
          });
          return;
        }
        const payload = parsePayload('tokenization.request', input);
        await withOperations(async (operations) => {
          const { tokenization, isNew } = await acceptTokenization(operations, payload, {
            audit: { actor: operator },
          });
          console.log(JSON.stringify({ id: tokenization.id, state: tokenization.state, isNew }));
        });
      });
    });
}
