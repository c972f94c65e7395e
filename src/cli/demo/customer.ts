import { z } from 'zod';
import type { Scenario } from './scenarios.ts';

const decisionAnswer = z.object({
  redirectUrl: z.string().nullable(),
  fields: z.array(z.tuple([z.string(), z.string()])),
});

/** The account that the demo's forger claims to speak for. */
export interface ForgedAccount {
  readonly account: string;
  readonly terminal: string;
}

/**
 * Plays the customer and the browser: opens the hosted page, decides, and posts the signed result
 * to the worker as the page's form would.
 *
 * @param redirectUrl the hosted page of this customer
 */
export async function playCustomer(redirectUrl: string, scenario: Scenario): Promise<void> {
  if (scenario.customer === 'leaves' || scenario.customer === 'none') return;
  const page = new URL(redirectUrl);
  const decision = scenario.customer === 'declines' ? 'decline' : 'approve';
  const response = await fetch(new URL('/bank/quickPay/decide', page), {
    method: 'POST',
    headers: { accept: 'application/json' },
    body: new URLSearchParams({ opRefId: page.searchParams.get('opRefId') ?? '', decision }),
  });
  const answer = decisionAnswer.parse(await response.json());
  if (scenario.customer === 'approves_and_closes' || answer.redirectUrl === null) return;
  for (let delivery = 0; delivery < scenario.browserDeliveries; delivery += 1) {
    await deliver(answer.redirectUrl, answer.fields);
  }
}

/** Plays a forger: posts a success for a known reference with an invented id and signature. */
export async function playForger(
  callbackUrl: string,
  merchantReferenceId: string,
  { account, terminal }: ForgedAccount,
): Promise<void> {
  await deliver(callbackUrl, [
    ['code', '000'],
    ['message', 'SUCCESS'],
    ['account', account],
    ['terminal', terminal],
    ['signature', '0'.repeat(64)],
    ['order_currency', 'EUR'],
    ['order_amount', '0.01'],
    ['order_reference_id', '260101000000000000000'],
    ['merchant_reference_id', merchantReferenceId],
    ['quickpay_id', '00000000-0000-4000-8000-000000000000'],
    ['quickpay_status', '1'],
  ]);
}

async function deliver(url: string, fields: readonly (readonly [string, string])[]): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value])),
  });
  await response.arrayBuffer();
}
