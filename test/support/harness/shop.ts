import type { TokenizationRow } from '../../../src/db/rows.ts';
import { findTokenizationsByMerchantReference } from '../../../src/db/tokenizations.ts';
import type { TokenizationRequestPayload } from '../../../src/domain/payload/job-payloads.ts';
import {
  type AcceptedTokenization,
  acceptTokenization,
} from '../../../src/tokenization/request/accept.ts';
import { requestPayload } from '../builders.ts';
import { eventually } from '../eventually.ts';
import type { TestWorker } from './worker.ts';

/** The redirect that the gateway sends through the customer's browser. */
export interface Redirect {
  readonly redirectUrl: string;
  readonly fields: readonly (readonly [string, string])[];
}

/** A merchant's backend and its customers, played against one worker and its gateway sandbox. */
export interface Shop {
  /** Adds the worker's callback addresses to a request. */
  readonly withUrls: (payload: TokenizationRequestPayload) => TokenizationRequestPayload;
  readonly accept: (
    changes?: Parameters<typeof requestPayload>[0],
    extra?: Partial<TokenizationRequestPayload>,
  ) => Promise<AcceptedTokenization>;
  /** Waits until the tokenization of a merchant reference is in a state. */
  readonly until: (reference: string, state: string) => Promise<TokenizationRow>;
  /** The tokenization of a merchant reference, once it is stored. */
  readonly find: (reference: string) => Promise<TokenizationRow | undefined>;
  /** The customer decides on the tokenization's page. */
  readonly decide: (row: TokenizationRow, decision: string) => Promise<Redirect>;
  /** The customer's browser follows the redirect to the worker. */
  readonly followRedirect: (redirect: Redirect) => Promise<Response>;
  /** Sends the worker a made-up push or redirect about its own account. */
  readonly forge: (
    channel: 'notify' | 'redirect',
    fields: Readonly<Record<string, string>>,
  ) => Promise<Response>;
}

export function openShop(worker: TestWorker): Shop {
  const callbacks = `${worker.app.urls?.public}/callbacks`;
  const withUrls: Shop['withUrls'] = (payload) => ({
    ...payload,
    order: {
      ...payload.order,
      redirectUrl: `${callbacks}/redirect`,
      notifyUrl: `${callbacks}/notify`,
    },
  });
  return {
    withUrls,
    accept: async (changes = {}, extra = {}) =>
      await acceptTokenization(
        worker.app.operations,
        { ...withUrls(requestPayload(changes)), ...extra },
        { audit: { actor: { type: 'backend', id: 'test' } } },
      ),
    until: async (reference, state) =>
      await eventually(`${reference} becomes ${state}`, async () => {
        const { db } = worker.app.operations;
        const [row] = await findTokenizationsByMerchantReference(db, reference);
        return row?.state === state ? row : undefined;
      }),
    find: async (reference) =>
      (await findTokenizationsByMerchantReference(worker.app.operations.db, reference))[0],
    decide: async (row, decision) => await decideOnPage(row.redirect_url ?? '', decision),
    followRedirect: async ({ redirectUrl, fields }) =>
      await fetch(redirectUrl, {
        method: 'POST',
        redirect: 'manual',
        body: new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value])),
      }),
    forge: async (channel, fields) =>
      await fetch(`${callbacks}/${channel}`, {
        method: 'POST',
        redirect: 'manual',
        body: new URLSearchParams({
          account: worker.account.account,
          terminal: worker.account.terminal,
          ...fields,
        }),
      }),
  };
}

/** Decides as the customer does on the sandbox's page, and returns the redirect that follows. */
export async function decideOnPage(pageUrl: string, decision: string): Promise<Redirect> {
  const page = new URL(pageUrl);
  const response = await fetch(new URL('/bank/quickPay/decide', page), {
    method: 'POST',
    headers: { accept: 'application/json' },
    body: new URLSearchParams({ opRefId: page.searchParams.get('opRefId') ?? '', decision }),
  });
  const redirect: unknown = await response.json();
  return redirect as Redirect;
}
