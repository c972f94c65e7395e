import { randomUUID } from 'node:crypto';
import type { App } from '../../app.ts';
import { findTokenization } from '../../db/tokenizations.ts';
import { isOpen } from '../../domain/tokenization.ts';
import { acceptTokenization } from '../../tokenization/request/accept.ts';
import { playCustomer, playForger } from './customer.ts';
import type { DemoEnvironment } from './demo-environment.ts';
import type { Scenario } from './scenarios.ts';

/** One lifecycle of the demo: the tokenization and its scenario. */
export interface Lifecycle {
  readonly tokenizationId: string;
  readonly scenario: Scenario;
}

const redirectWithinMs = 30_000;
const pollEveryMs = 100;

/** Enqueues one request as a backend would, then plays the customer and the forger. */
export async function driveLifecycle(
  environment: DemoEnvironment,
  app: App,
  scenario: Scenario,
  lifecycles: Lifecycle[],
): Promise<void> {
  const merchantReferenceId = `demo-${randomUUID()}`;
  const callbackBase = app.urls?.public ?? '';
  const { tokenization } = await acceptTokenization(
    app.operations,
    {
      v: 1,
      credential: environment.credentialName,
      order: {
        currency: 'EUR',
        amount: '12.50',
        methods: 'Klarna',
        remark: scenario.remark,
        ip: '203.0.113.9',
      },
      merchant: { referenceId: merchantReferenceId },
      billing: {
        firstname: 'Ada',
        lastname: 'Lovelace',
        email: 'ada@example.com',
        country: 'DE',
        city: 'Berlin',
      },
      customer: { id: 'demo-customer' },
    },
    { audit: { actor: { type: 'backend', id: 'demo' } } },
  );
  lifecycles.push({ tokenizationId: tokenization.id, scenario });
  const redirectUrl = await untilRedirect(app, tokenization.id);
  if (redirectUrl === undefined) return;
  if (scenario.isForged) {
    const forgedUrl = `${callbackBase}/callbacks/redirect`;
    await playForger(forgedUrl, merchantReferenceId, environment.keys);
  }
  if (scenario.customer === 'approves_late') await untilExpired(app, tokenization.id);
  await playCustomer(redirectUrl, scenario);
}

async function untilExpired(app: App, id: string): Promise<void> {
  const deadline = performance.now() + redirectWithinMs;
  while (performance.now() < deadline) {
    const row = await findTokenization(app.operations.db, id);
    if (row?.state === 'expired') return;
    await new Promise((resolve) => setTimeout(resolve, pollEveryMs));
  }
}

/** The customer's redirect URL, once it exists; undefined when the request ends without one. */
async function untilRedirect(app: App, id: string): Promise<string | undefined> {
  const deadline = performance.now() + redirectWithinMs;
  while (performance.now() < deadline) {
    const row = await findTokenization(app.operations.db, id);
    if (row === undefined || !isOpen(row.state)) return undefined;
    if (row.redirect_url !== null) return row.redirect_url;
    await new Promise((resolve) => setTimeout(resolve, pollEveryMs));
  }
  return undefined;
}
