import type { FastifyInstance } from 'fastify';

/**
 * Registers `/health/live`, which always answers 200, and `/health/ready`, which answers 503 while
 * a service that the worker depends on is down, and names it.
 */
export function registerHealth(
  server: FastifyInstance,
  readiness: () => Promise<Readonly<Record<string, boolean>>>,
): void {
  server.get('/health/live', async () => ({ status: 'ok' }));
  server.get('/health/ready', async (_request, reply) => {
    const checks = await readiness();
    const isReady = Object.values(checks).every(Boolean);
    return await reply
      .code(isReady ? 200 : 503)
      .send({ status: isReady ? 'ok' : 'not_ready', checks });
  });
}
