#!/usr/bin/env node
import { Command } from 'commander';

type Register = (program: Command) => void;

/**
 * Each command's module, imported only when it is asked for: most of a short command's time would go into reading the
 * HTTP server, the queues and the sandbox, which it does not need.
 */
const commands: Readonly<Record<string, () => Promise<Register>>> = {
  start: async () => (await import('./commands/start.ts')).registerStart,
  demo: async () => (await import('./commands/demo.ts')).registerDemo,
  sandbox: async () => (await import('./commands/sandbox.ts')).registerSandbox,
  migrate: async () => (await import('./commands/migrate.ts')).registerMigrate,
  doctor: async () => (await import('./commands/doctor.ts')).registerDoctor,
  enqueue: async () => (await import('./commands/enqueue.ts')).registerEnqueue,
  show: async () => (await import('./commands/show.ts')).registerShow,
  audit: async () => (await import('./commands/audit.ts')).registerAudit,
  callbacks: async () => (await import('./commands/callbacks.ts')).registerCallbacks,
  credentials: async () => (await import('./commands/credentials.ts')).registerCredentials,
  'dead-letters': async () => (await import('./commands/dead-letters.ts')).registerDeadLetters,
  redrive: async () => (await import('./commands/dead-letters.ts')).registerDeadLetters,
  deliveries: async () => (await import('./commands/deliveries.ts')).registerDeliveries,
  keys: async () => (await import('./commands/keys.ts')).registerKeys,
};

const program = new Command('token-worker')
  .description('Runs the life of Oceanpayment tokens: QuickPay IDs and OPCard access tokens.')
  .showHelpAfterError();

const asked = Object.hasOwn(commands, process.argv[2] ?? '') ? process.argv[2] : undefined;
// Help, and a name that is none, need all of them; one module may register several.
const loads = asked === undefined ? Object.values(commands) : [commands[asked]];
const registers = new Set(await Promise.all(loads.map(async (load) => await load?.())));
for (const register of registers) register?.(program);

await program.parseAsync();
