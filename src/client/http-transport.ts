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
 * through. Access tokens are kept, asked for anew behind the caller's back as they age, and by one request however many want them.
 */
export function createHttpTransport(send: Connection): TokenTransport {
  const get = async <Answer>(path: string, isAnswer: AnswerCheck<Answer>, said: Said = {}) =>
    await send({ method: 'get', path, isIdempotent: true, isAnswer, ...said });
  const post = async <Answer>(path: string, isAnswer: AnswerCheck<Answer>, said: Said = {}) =>
    await send({ method: 'post', path, isIdempotent: true, isAnswer, ...said });
  const accessTokens = createAccessTokenCache(
    async (credential) => await get(`access-tokens/${credential}`, isAccessToken),
  );

  /** Of one generation one at a time: all who use it are refused at the same moment. */
  const reports = new Map<string, Promise<void>>();

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
      const key = `${credential} ${generation}`;
      const underWay = reports.get(key);
      if (underWay !== undefined) return await underWay;
      accessTokens.forget(credential, generation);
      const path = `access-tokens/${credential}/invalid`;
      const report = post(path, isReportTaken, { body: { generation } })
        .then(() => undefined)
        .finally(() => reports.delete(key));
      reports.set(key, report);
      await report;
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
