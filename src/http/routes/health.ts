import type { FastifyInstance } from 'fastify';
import { canTakeCallbacks, type HealthReport } from '../../domain/health.ts';

/**
 * Registers `/health/live`, which always answers 200, and `/health/ready`, which answers 503 while
 * the process is not ready; with `?for=callbacks` only while it can't take callbacks. The answer
 * names each cause by codes of a closed set; it holds no error, address or value.
 */
export function registerHealth(
  server: FastifyInstance,
  readiness: () => Promise<HealthReport>,
): void {
  server.get('/health/live', async () => ({ status: 'ok' }));
  server.get<{ Querystring: { for?: string } }>('/health/ready', async (request, reply) => {
    const report = await readiness();
    const { status, checks, causes } = report;
    const isReady =
      request.query.for === 'callbacks' ? canTakeCallbacks(report) : status !== 'not_ready';
    return await reply.code(isReady ? 200 : 503).send({
      status,
      checks,
      causes: causes.map(({ check, reason, names }) => ({ check, reason, names })),
    });
  });
}
