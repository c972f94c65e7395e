import { openDirectTokenClient } from 'token-lifecycle-client/direct';

const client = await openDirectTokenClient({
  databaseUrl: process.env.DATABASE_URL ?? '',
  encryptionKeys: process.env.ENCRYPTION_KEYS ?? '',
  name: 'billing',
  callbackPublicUrl: process.env.CALLBACK_PUBLIC_URL,
  onFault: (fault) => console.error(fault),
});
try {
  const { id } = await client.requestTokenization({
    order: { currency: 'EUR', amount: '12.50', methods: 'Klarna' },
    merchant: { referenceId: 'order-4712' },
    billing: { firstname: 'Ada', lastname: 'Lovelace', email: 'ada@example.com', country: 'DE' },
    customer: { id: 'cust-77' },
  });
  const { redirectUrl } = await client.waitForRedirectUrl(id);
  console.log('send the customer to', redirectUrl);
} finally {
  await client.close();
}
