import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { AppError } from '../domain/errors.ts';
import { patchFaults } from './fault-switches.ts';
import { type SandboxContext, resetContext } from './sandbox-context.ts';
import { takeSnapshot } from './sandbox-snapshot.ts';

const patchSchema = z.record(z.string(), z.unknown());
const seedSchema = z.strictObject({ seed: z.int().min(0) });

/** The control API under `/sandbox`. It has no login: every client that reaches it may use it. */
export function registerControlRoutes(server: FastifyInstance, context: SandboxContext): void {
  server.get('/sandbox/state', () => takeSnapshot(context));
  server.get('/sandbox/faults', () => context.faults);
  // Changes only the switches in the body.
  server.put('/sandbox/faults', (request) => {
    const patch = patchSchema.safeParse(request.body);
    if (!patch.success)
      throw new AppError('config_invalid', 'Send a JSON object of fault switches.');
    context.faults = patchFaults(context.faults, patch.data);
    return context.faults;
  });
  // Clears all state and restores the initial fault switches, but keeps the seed.
  server.post('/sandbox/reset', () => {
    resetContext(context, context.seed);
    return takeSnapshot(context);
  });
  // Clears all state as well, because a run with ids of two seeds cannot be repeated.
  server.put('/sandbox/seed', (request) => {
    const body = seedSchema.safeParse(request.body);
    if (!body.success)
      throw new AppError('config_invalid', 'Send {"seed": <whole number from 0>}.');
    resetContext(context, body.data.seed);
    return { seed: context.seed };
  });
}
