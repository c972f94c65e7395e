import type { FastifyInstance } from 'fastify';

/**
 * `/health/live`: the process answers. `/health/ready`: what it can't do without answers too; 503 otherwise, with the part
 * that does not.
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
