import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

interface Event {
  readonly type: string;
  readonly data: { readonly tokenizationId: string; readonly sequence: number };
}

const webhook = new Webhook(process.env.MERCHANT_WEBHOOK_SECRET ?? '');
/** The last sequence of each tokenization; a real backend keeps it in its database. */
const lastSequences = new Map<string, number>();

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    let event: Event;
    try {
      const headers = request.headers as Record<string, string>;
      event = webhook.verify(Buffer.concat(chunks).toString(), headers) as Event;
    } catch {
      response.writeHead(401).end();
      return;
    }
    const { type, data } = event;
    // The same event may arrive twice, and an older one after a newer one.
    if (data.sequence > (lastSequences.get(data.tokenizationId) ?? 0)) {
      lastSequences.set(data.tokenizationId, data.sequence);
      console.log(type, data.tokenizationId);
    }
    response.writeHead(204).end();
  });
});
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => console.log('listening'));
