import type { TokenizationRow } from '../../../src/db/rows.ts';
import { findTokenizationsByMerchantReference } from '../../../src/db/tokenizations.ts';
import type { TokenizationRequestPayload } from '../../../src/domain/job-payloads.ts';
import {
  type AcceptedTokenization,
  acceptTokenization,
} from '../../../src/tokenization/request/accept.ts';
import { requestPayload } from '../builders.ts';
import { eventually } from '../eventually.ts';
import type { TestWorker } from './worker.ts';

/** What comes back through a browser: where it is sent, with which fields. */
export interface Redirect {
  readonly redirectUrl: string;
  readonly fields: readonly (readonly [string, string])[];
}

/** A merchant's backend and its customers, as tests play them against one worker and its gateway sandbox. */
export interface Shop {
  readonly withUrls: (payload: TokenizationRequestPayload) => TokenizationRequestPayload;
  readonly accept: (
    changes?: Parameters<typeof requestPayload>[0],
    extra?: Partial<TokenizationRequestPayload>,
  ) => Promise<AcceptedTokenization>;
  readonly until: (reference: string, state: string) => Promise<TokenizationRow>;
  readonly decide: (row: TokenizationRow, decision: string) => Promise<Redirect>;
  readonly bringBack: (redirect: Redirect) => Promise<Response>;
  /** A push or redirect that nobody but the test has made. */
  readonly forge: (
    channel: 'notify' | 'redirect',
    fields: Readonly<Record<string, string>>,
  ) => Promise<Response>;
}

/** Opens a shop at a worker. */
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
    async decide(row, decision) {
      const page = new URL(row.redirect_url ?? '');
      const response = await fetch(new URL('/bank/quickPay/decide', page), {
        method: 'POST',
        headers: { accept: 'application/json' },
        body: new URLSearchParams({ opRefId: page.searchParams.get('opRefId') ?? '', decision }),
      });
      const answer: unknown = await response.json();
      return answer as Redirect;
    },
    bringBack: async ({ redirectUrl, fields }) =>
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
