import { Agent, request } from 'undici';
import { account, type BenchRequest, secureCode, terminal } from './tokenization-request.ts';

/** The result of a creation. */
export interface CreatedToken {
  readonly quickpayId: string;
  readonly orderReferenceId: string;
}

const callbackUrls = {
  redirectUrl: 'https://shop.example.com/callbacks/redirect',
  notifyUrl: 'https://shop.example.com/callbacks/notify',
};

const timeoutMs = 10_000;

/** Creates the call that a team would write: JSON, a deadline, a check of the code. */
export function createGatewayCall(
  gatewayUrl: string,
  connections: number,
): (content: BenchRequest) => Promise<CreatedToken> {
  const dispatcher = new Agent({ connections, headersTimeout: timeoutMs, bodyTimeout: timeoutMs });
  return async (job) => {
    const { v: _, order, ...rest } = job;
    const response = await request(`${gatewayUrl}/pg/quickPay/create`, {
      method: 'POST',
      dispatcher,
      headers: { 'content-type': 'application/json', account, terminal, secureCode },
      body: JSON.stringify({ ...rest, order: { ...order, ...callbackUrls } }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const { code, data } = (await response.body.json()) as {
      code: string;
      data: { quickPay: { id: string }; order: { referenceId: string } };
    };
    if (response.statusCode !== 200 || code !== '000') throw new Error(`the gateway said ${code}`);
    return { quickpayId: data.quickPay.id, orderReferenceId: data.order.referenceId };
  };
}
