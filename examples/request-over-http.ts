import { createTokenClient, TokenClientError } from 'token-lifecycle-client';

const client = createTokenClient({
  url: process.env.TOKEN_WORKER_URL ?? 'http://127.0.0.1:9090',
  apiKey: process.env.TOKEN_WORKER_KEY ?? '',
});

try {
  const { id } = await client.requestTokenization({
    order: { currency: 'EUR', amount: '12.50', methods: 'Klarna' },
    merchant: { referenceId: 'order-4711' },
    billing: { firstname: 'Ada', lastname: 'Lovelace', email: 'ada@example.com', country: 'DE' },
    customer: { id: 'cust-77' },
  });
  const { redirectUrl } = await client.waitForRedirectUrl(id);
  console.log('send the customer to', redirectUrl);
} catch (error) {
  if (error instanceof TokenClientError) console.error(error.code, error.paths);
  throw error;
}
