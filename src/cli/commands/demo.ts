import type { Command } from 'commander';
import { z } from 'zod';
import { AppError } from '../../domain/errors.ts';
import { runDemo } from '../demo/run-demo.ts';
import { runCommand } from '../run-command.ts';

const tokensMax = 100_000;

/** `token-worker demo`: the whole lifecycle on this machine, without further services. */
export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('show the lifecycle end to end: embedded PostgreSQL, gateway sandbox, worker')
    .option('--tokens <number>', 'lifecycles to drive; with 0 only yours', '25')
    .option('--exit', 'stop when they have ended, and print the summary as one JSON line')
    .action(async ({ tokens, exit }: { tokens: string; exit?: boolean }) => {
      await runCommand(async () => {
        const parsed = z.coerce.number().int().min(0).max(tokensMax).safeParse(tokens);
        if (!parsed.success) {
          throw new AppError('config_invalid', `--tokens: a whole number from 0 to ${tokensMax}.`);
        }
        process.exitCode = await runDemo({ tokens: parsed.data, isExiting: exit === true });
      });
      process.exit();
    });
}
