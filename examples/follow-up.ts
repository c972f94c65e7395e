import { createTokenClient } from 'token-lifecycle-client';

const client = createTokenClient({
  url: process.env.TOKEN_WORKER_URL ?? 'http://127.0.0.1:9090',
  apiKey: process.env.TOKEN_WORKER_KEY ?? '',
});

const known = await client.findTokenization({ merchantReferenceId: 'order-4711' });
if (known === undefined) throw new Error('never asked for');
console.log('now', known.state);

// A message of the gateway that came to this backend instead of the worker: exactly as it came.
const { isDuplicate } = await client.forwardNotify({
  contentType: 'application/x-www-form-urlencoded',
  body: 'account=995149&terminal=99514901&merchant_reference_id=order-4711&quickpay_status=-1',
  receivedAt: new Date().toISOString(),
});
console.log('seen before', isDuplicate);

const { accessToken, generation } = await client.getAccessToken('default');
console.log('access token', generation, accessToken.length > 0);
