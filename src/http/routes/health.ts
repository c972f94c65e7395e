import type { FastifyInstance } from 'fastify';
import type { HealthReport } from '../../domain/health.ts';

/**
 * Registers `/health/live`, which always answers 200, and `/health/ready`, which answers 503 while
 * the process could not commit what it is sent. The answer names each cause in words of a closed
 * set; it holds no error, address or value.
 */
export function registerHealth(
  server: FastifyInstance,
  readiness: () => Promise<HealthReport>,
): void {
  server.get('/health/live', async () => ({ status: 'ok' }));
  server.get('/health/ready', async (_request, reply) => {
    const { status, checks, causes } = await readiness();
    return await reply.code(status === 'not_ready' ? 503 : 200).send({
      status,
      checks,
      causes: causes.map(({ check, reason, names }) => ({ check, reason, names })),
    });
  });
}
