import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { AppError } from '../domain/errors.ts';
import { patchFaults } from './fault-switches.ts';
import { type SandboxContext, resetContext } from './sandbox-context.ts';
import { takeSnapshot } from './sandbox-snapshot.ts';

const patchSchema = z.record(z.string(), z.unknown());
const seedSchema = z.strictObject({ seed: z.int().min(0) });

/** The sandbox's own controls, under `/sandbox`. Whoever reaches them rules the sandbox: there is no login. */
export function registerControlRoutes(server: FastifyInstance, context: SandboxContext): void {
  server.get('/sandbox/state', () => takeSnapshot(context));
  server.get('/sandbox/faults', () => context.faults);
  // Changes the switches that are named and leaves the others.
  server.put('/sandbox/faults', (request) => {
    const patch = patchSchema.safeParse(request.body);
    if (!patch.success) throw new AppError('config_invalid', 'Send a JSON object of switches.');
    context.faults = patchFaults(context.faults, patch.data);
    return context.faults;
  });
  // Forgets everything and returns the switches to those of the start; the seed stays.
  server.post('/sandbox/reset', () => {
    resetContext(context, context.seed);
    return takeSnapshot(context);
  });
  // Starts over under another seed: ids already drawn from the old one would make a run that nobody can repeat.
  server.put('/sandbox/seed', (request) => {
    const body = seedSchema.safeParse(request.body);
    if (!body.success) throw new AppError('config_invalid', 'Send {"seed": <whole number>}.');
    resetContext(context, body.data.seed);
    return { seed: context.seed };
  });
}
