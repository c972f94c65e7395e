import { type Sandbox, sandboxDefaults } from '../../src/sandbox/sandbox.ts';

/** Headers of the default account. */
export const accountHeaders = {
  account: sandboxDefaults.account,
  terminal: sandboxDefaults.terminal,
  secureCode: sandboxDefaults.secureCode,
};

/** An answer in the gateway's envelope. */
export interface Answer {
  readonly code: string;
  readonly msg?: string;
  readonly message?: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests assert each call's own shape
  readonly data: any;
}

/** Posts JSON and reads a JSON answer. */
export async function postJson(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  // Unchecked: the tests assert the shape.
  return (await response.json()) as Answer;
}

/** A valid create body. */
export function createBody(
  referenceId: string,
  order: Record<string, string> = {},
): Record<string, unknown> {
  return {
    order: {
      currency: 'EUR',
      amount: '12.50',
      methods: 'Klarna',
      redirectUrl: 'http://merchant.example/return',
      notifyUrl: '',
      remark: '',
      ip: '203.0.113.9',
      description: 'Gold plan',
      ...order,
    },
    merchant: { referenceId },
    billing: {
      firstname: 'Ada',
      lastname: 'Lovelace',
      email: 'ada@example.com',
      phone: '4915112345678',
      country: 'DE',
      state: 'BE',
      city: 'Berlin',
      address: 'Example Str. 1',
      zip: '10115',
    },
    customer: { id: 'cust-77' },
  };
}

/** The calls that a merchant's backend and a customer's browser make. */
export type MerchantClient = ReturnType<typeof clientOf>;

/** A client of the sandbox's default account and application. */
export function clientOf(sandbox: Sandbox) {
  const gateway = (path: string, body: unknown): Promise<Answer> =>
    postJson(`${sandbox.checkoutUrl}${path}`, body, accountHeaders);
  return {
    create: (referenceId: string, order?: Record<string, string>) =>
      gateway('/pg/quickPay/create', createBody(referenceId, order)),
    query: (body: unknown) => gateway('/pg/quickPay/query', body),
    queryReference: (referenceId: string) =>
      gateway('/pg/quickPay/query', { merchant: { referenceId } }),
    cancel: (id: string) => gateway('/pg/quickPay/cancel', { quickpay: { id } }),
    async decide(opRefId: string, decision: string) {
      const response = await fetch(`${sandbox.url}/bank/quickPay/decide`, {
        method: 'POST',
        headers: { accept: 'application/json' },
        body: new URLSearchParams({ opRefId, decision }),
      });
      return (await response.json()) as { redirectUrl: string | null; fields: [string, string][] };
    },
    oauthCreate: () =>
      postJson(`${sandbox.openApiUrl}/oauth/token/create`, {
        app_key: sandboxDefaults.appKey,
        app_secret: sandboxDefaults.appSecret,
      }),
    oauthRefresh: (refreshToken: string) =>
      postJson(`${sandbox.openApiUrl}/oauth/token/refresh`, { refresh_token: refreshToken }),
    async probe(token: string): Promise<number> {
      const response = await fetch(`${sandbox.url}/card-api/v1/probe`, {
        method: 'POST',
        headers: { authorization: token },
      });
      await response.text();
      return response.status;
    },
  };
}
