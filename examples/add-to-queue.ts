import { addToQueue } from 'token-lifecycle-client/enqueue';
import { Queue } from 'bullmq';

const queue = new Queue('access-token', {
  connection: { url: process.env.REDIS_URL },
  prefix: process.env.QUEUE_PREFIX ?? 'token-lifecycle',
});
await addToQueue(queue, 'access-token.refresh', { credential: 'default' });
await queue.close();
console.log('renewal asked for');
