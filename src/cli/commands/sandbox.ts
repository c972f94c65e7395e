import type { Command } from 'commander';
import { z } from 'zod';
import { AppError } from '../../domain/errors.ts';
import {
  type FaultSwitches,
  faultSwitchesSchema,
  sandboxDefaults,
  startSandbox,
} from '../../sandbox/sandbox.ts';
import { runCommand } from '../run-command.ts';
import { untilStopSignal } from '../stop-signal.ts';

interface SandboxFlags {
  readonly host: string;
  readonly port: string;
  readonly seed: string;
  readonly publicUrl?: string;
  readonly tokenTtlMs: string;
  readonly fault: readonly string[];
  readonly json?: boolean;
}

/** `token-worker sandbox`: a stand-in for the gateway, for development and a merchant's own CI. */
export function registerSandbox(program: Command): void {
  program
    .command('sandbox')
    .description('run a stand-in for the gateway, with faults on demand')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <number>', 'port to listen on', '8090')
    .option('--seed <number>', 'equal seeds and equal calls give equal ids and faults', '1')
    .option('--public-url <url>', 'base of the hosted page as browsers see it')
    .option('--token-ttl-ms <number>', 'lifetime of access tokens', '3600000')
    .option(
      '--fault <name=value>',
      'set a fault switch; repeatable, names as in GET /sandbox/faults',
      (value: string, before: readonly string[]) => [...before, value],
      [],
    )
    .option('--json', 'print each call, decision and push as a JSON line')
    .action(async (flags: SandboxFlags) => {
      await runCommand(async () => await runSandbox(flags));
    });
}

async function runSandbox(flags: SandboxFlags): Promise<void> {
  const stopSignal = untilStopSignal();
  const sandbox = await startSandbox({
    host: flags.host,
    port: number('--port', flags.port, 0),
    seed: number('--seed', flags.seed, 0),
    accessTokenTtlMs: number('--token-ttl-ms', flags.tokenTtlMs, 1),
    faults: parseFaults(flags.fault),
    ...(flags.publicUrl === undefined ? {} : { publicUrl: flags.publicUrl }),
    ...(flags.json === true
      ? { onEvent: (event: unknown) => console.log(JSON.stringify(event)) }
      : {}),
  });
  console.log(`The gateway sandbox listens on ${sandbox.url} (Ctrl-C stops it).`);
  console.log(`  OCEANPAYMENT_CHECKOUT_URL=${sandbox.checkoutUrl}`);
  console.log(`  OCEANPAYMENT_OPEN_API_URL=${sandbox.openApiUrl}`);
  console.log('It knows one account and one application, neither of them a secret:');
  const { account, terminal, secureCode, appKey, appSecret } = sandboxDefaults;
  console.log(`  OCEANPAYMENT_ACCOUNT=${account} OCEANPAYMENT_TERMINAL=${terminal}`);
  console.log(`  OCEANPAYMENT_SECURE_CODE=${secureCode}`);
  console.log(`  OPCARD_APP_KEY=${appKey} OPCARD_APP_SECRET=${appSecret}`);
  await stopSignal;
  await sandbox.close();
}

function number(flag: string, text: string, min: number): number {
  const parsed = z.coerce.number().int().min(min).safeParse(text);
  if (!parsed.success) {
    throw new AppError('config_invalid', `${flag}: give a whole number from ${min}.`);
  }
  return parsed.data;
}

/** `name=value` pairs; values are JSON, or text where they are not. */
function parseFaults(pairs: readonly string[]): Partial<FaultSwitches> {
  const named = pairs.map((pair): [string, unknown] => {
    const [name = '', ...rest] = pair.split('=');
    return [name, parseValue(rest.join('='))];
  });
  const parsed = faultSwitchesSchema.partial().safeParse(Object.fromEntries(named));
  if (parsed.success) return withoutUndefined(parsed.data);
  const names = parsed.error.issues.map((issue) => issue.path.join('.') || 'unknown switch');
  throw new AppError('config_invalid', `--fault: correct ${names.join(', ')}.`);
}

function withoutUndefined(switches: {
  readonly [Name in keyof FaultSwitches]?: FaultSwitches[Name] | undefined;
}): Partial<FaultSwitches> {
  // The filter removes what the narrower type forbids.
  return Object.fromEntries(
    Object.entries(switches).filter(([, value]) => value !== undefined),
  ) as Partial<FaultSwitches>;
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
