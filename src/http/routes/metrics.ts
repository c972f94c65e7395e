import type { FastifyInstance } from 'fastify';

/** Registers `/metrics` in the Prometheus text format. */
export function registerMetrics(
  server: FastifyInstance,
  render: () => Promise<{ readonly contentType: string; readonly body: string }>,
): void {
  server.get('/metrics', async (_request, reply) => {
    const { contentType, body } = await render();
    return await reply.type(contentType).send(body);
  });
}
