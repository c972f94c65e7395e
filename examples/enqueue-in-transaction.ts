import { createTokenClient } from 'token-lifecycle-client';
import { enqueueIn } from 'token-lifecycle-client/enqueue';
import pg from 'pg';

const referenceId = 'order-4713';
const backend = new pg.Client({ connectionString: process.env.DATABASE_URL });
await backend.connect();
await backend.query('begin');
try {
  // .. your own rows, and then:
  await enqueueIn(backend, 'tokenization.request', {
    order: { currency: 'EUR', amount: '12.50', methods: 'Klarna' },
    merchant: { referenceId },
    billing: { firstname: 'Ada', lastname: 'Lovelace', email: 'ada@example.com', country: 'DE' },
    customer: { id: 'cust-77' },
  });
  await backend.query('commit');
} catch (error) {
  await backend.query('rollback');
  throw error;
} finally {
  await backend.end();
}

const client = createTokenClient({
  url: process.env.TOKEN_WORKER_URL ?? 'http://127.0.0.1:9090',
  apiKey: process.env.TOKEN_WORKER_KEY ?? '',
});
const { redirectUrl } = await client.waitForRedirectUrl({ merchantReferenceId: referenceId });
console.log('send the customer to', redirectUrl);
