import { createCache, notStored } from '../cache/cache.ts';
import { createAccessTokenCache } from './access-token-cache.ts';
import {
  type AnswerCheck,
  isAccessToken,
  isKeptCallback,
  isOpccount,
  isReportTaken,
  isRevealedToken,
  isTimelinePage,
  isTokenization,
  isTokenizationPage,
} from './answer-checks.ts';
import type { Call, Connection } from './connection.ts';
import type { TokenTransport, Wait } from './token-client.ts';

/** What a call says besides where it goes. */
type Said = Omit<Call<unknown>, 'method' | 'path' | 'isIdempotent' | 'isAnswer'>;

/**
 * The way over HTTP. Calls that say the same twice are done once, so they are sent again by themselves when they did not get
 * through. Access tokens are kept in memory and loaded again in the background as they age.
 */
export function createHttpTransport(send: Connection): TokenTransport {
  const get = async <Answer>(path: string, isAnswer: AnswerCheck<Answer>, said: Said = {}) =>
    await send({ method: 'get', path, isIdempotent: true, isAnswer, ...said });
  const post = async <Answer>(path: string, isAnswer: AnswerCheck<Answer>, said: Said = {}) =>
    await send({ method: 'post', path, isIdempotent: true, isAnswer, ...said });
  const accessTokens = createAccessTokenCache(
    async (credential) => await get(`access-tokens/${credential}`, isAccessToken),
  );

  /** Stores nothing: all callers are refused with a generation at the same moment, and one report is enough. */
  const reports = createCache<undefined>();

  return {
    requestTokenization: async (body) =>
      await post('tokenizations', isTokenization, {
        headers: { 'idempotency-key': body.merchant.referenceId },
        body,
      }),
    getTokenization: async (id, wait) =>
      await get(`tokenizations/${id}`, isTokenization, wait === undefined ? {} : asking(wait)),
    findTokenizations: async (filter, page, signal) =>
      await get('tokenizations', isTokenizationPage, { query: { ...filter, ...page }, signal }),
    readTimeline: async (id, page) =>
      await get(`tokenizations/${id}/timeline`, isTimelinePage, { query: { ...page } }),
    revealToken: async (id) =>
      (await reveal(send, `tokenizations/${id}`, isRevealedToken)).quickpayId,
    disableToken: async (id) => await post(`tokenizations/${id}/disable`, isTokenization),
    confirmTokenization: async (id) => await post(`tokenizations/${id}/confirm`, isTokenization),
    forward: async (channel, body) => await post(`callbacks/${channel}`, isKeptCallback, { body }),
    getAccessToken: accessTokens.get,
    async reportInvalidAccessToken(credential, generation) {
      await reports.get(`${credential} ${generation}`, async () => {
        accessTokens.forget(credential, generation);
        const path = `access-tokens/${credential}/invalid`;
        await post(path, isReportTaken, { body: { generation } });
        return notStored(undefined);
      });
    },
    revealOpccount: async (credential) =>
      await reveal(send, `opccount-credentials/${credential}`, isOpccount),
  };
}

function asking({ waitMs, until, signal }: Wait): Said {
  return { query: { wait: `${waitMs}ms`, until }, waitMs, signal };
}

/** Each reveal is an audit row of its own, so none is sent again by itself. */
async function reveal<Answer>(
  send: Connection,
  path: string,
  isAnswer: AnswerCheck<Answer>,
): Promise<Answer> {
  return await send({ method: 'post', path: `${path}/reveal`, isIdempotent: false, isAnswer });
}
