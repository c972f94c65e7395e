import { Command } from 'commander';

type Register = (program: Command) => void;

/**
 * Each command's module, imported only for that command: a short command would otherwise spend most
 * of its time on loading the HTTP server, the queues and the sandbox.
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
  deliveries: async () => (await import('./commands/deliveries.ts')).registerDeliveries,
  keys: async () => (await import('./commands/keys.ts')).registerKeys,
  'api-keys': async () => (await import('./commands/api-keys.ts')).registerApiKeys,
};

/** The command line of `token-worker`, with the named command, or with all for another name. */
export async function createProgram(name: string): Promise<Command> {
  const program = new Command('token-worker')
    .description('Runs the life of Oceanpayment tokens: QuickPay IDs and OPCard access tokens.')
    .showHelpAfterError();
  // Help, and an unknown name, need all of them.
  const loads = Object.hasOwn(commands, name) ? [commands[name]] : Object.values(commands);
  for (const load of loads) (await load?.())?.(program);
  return program;
}
