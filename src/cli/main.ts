#!/usr/bin/env node
import { Command } from 'commander';
import { registerAudit } from './commands/audit.ts';
import { registerCallbacks } from './commands/callbacks.ts';
import { registerCredentials } from './commands/credentials.ts';
import { registerDeadLetters } from './commands/dead-letters.ts';
import { registerDeliveries } from './commands/deliveries.ts';
import { registerDemo } from './commands/demo.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerEnqueue } from './commands/enqueue.ts';
import { registerKeys } from './commands/keys.ts';
import { registerMigrate } from './commands/migrate.ts';
import { registerSandbox } from './commands/sandbox.ts';
import { registerShow } from './commands/show.ts';
import { registerStart } from './commands/start.ts';

const program = new Command('token-worker')
  .description('Runs the life of Oceanpayment tokens: QuickPay IDs and OPCard access tokens.')
  .showHelpAfterError();

for (const register of [
  registerStart,
  registerDemo,
  registerSandbox,
  registerMigrate,
  registerDoctor,
  registerEnqueue,
  registerShow,
  registerAudit,
  registerCallbacks,
  registerCredentials,
  registerDeadLetters,
  registerDeliveries,
  registerKeys,
]) {
  register(program);
}

await program.parseAsync();
