import { createCache, notStored } from '../cache/cache.ts';
import { createAccessTokenCache } from './access-token-cache.ts';
import {
  type AnswerCheck,
  isAccessToken,
  isKeptCallback,
  isOpccount,
  isReportAnswer,
  isRevealedToken,
  isTimelinePage,
  isTokenization,
  isTokenizationPage,
} from './answer-checks.ts';
import type { Call, Connection } from './connection.ts';
import type { TokenTransport, Wait } from './token-client.ts';

/** The optional parts of a call. */
type CallContent = Omit<Call<unknown>, 'method' | 'path' | 'isIdempotent' | 'isAnswer'>;

/**
 * Creates the transport over HTTP. All calls except reveals are idempotent and retried. It
 * caches access tokens and requests them from the worker again in the background.
 */
export function createHttpTransport(send: Connection): TokenTransport {
  const get = async <Answer>(
    path: string,
    isAnswer: AnswerCheck<Answer>,
    content: CallContent = {},
  ) => await send({ method: 'get', path, isIdempotent: true, isAnswer, ...content });
  const post = async <Answer>(
    path: string,
    isAnswer: AnswerCheck<Answer>,
    content: CallContent = {},
  ) => await send({ method: 'post', path, isIdempotent: true, isAnswer, ...content });
  const accessTokens = createAccessTokenCache(
    async (credential) => await get(`access-tokens/${credential}`, isAccessToken),
  );

  /**
   * Single flight without storage: all users of a refused generation report it together, and share
   * one request.
   */
  const reports = createCache<undefined>();

  return {
    requestTokenization: async (body) =>
      await post('tokenizations', isTokenization, {
        headers: { 'idempotency-key': body.merchant.referenceId },
        body,
      }),
    getTokenization: async (id, wait) =>
      await get(`tokenizations/${id}`, isTokenization, wait === undefined ? {} : waitQuery(wait)),
    findTokenizations: async (filter, page, signal) =>
      await get('tokenizations', isTokenizationPage, { query: { ...filter, ...page }, signal }),
    readTimeline: async (id, page) =>
      await get(`tokenizations/${id}/timeline`, isTimelinePage, { query: { ...page } }),
    revealToken: async (id) =>
      (await sendReveal(send, `tokenizations/${id}`, isRevealedToken)).quickpayId,
    disableToken: async (id) => await post(`tokenizations/${id}/disable`, isTokenization),
    confirmTokenization: async (id) => await post(`tokenizations/${id}/confirm`, isTokenization),
    forward: async (channel, body) => await post(`callbacks/${channel}`, isKeptCallback, { body }),
    getAccessToken: accessTokens.get,
    async reportInvalidAccessToken(credential, generation) {
      await reports.get(`${credential} ${generation}`, async () => {
        accessTokens.evict(credential, generation);
        const path = `access-tokens/${credential}/invalid`;
        await post(path, isReportAnswer, { body: { generation } });
        return notStored(undefined);
      });
    },
    revealOpccount: async (credential) =>
      await sendReveal(send, `opccount-credentials/${credential}`, isOpccount),
  };
}

function waitQuery({ waitMs, until, signal }: Wait): CallContent {
  return { query: { wait: `${waitMs}ms`, until }, waitMs, signal };
}

/** Sends a reveal. Each one adds an audit row, so it is not retried. */
async function sendReveal<Answer>(
  send: Connection,
  path: string,
  isAnswer: AnswerCheck<Answer>,
): Promise<Answer> {
  return await send({ method: 'post', path: `${path}/reveal`, isIdempotent: false, isAnswer });
}
