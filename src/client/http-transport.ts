import { createAccessTokenCache } from './access-token-cache.ts';
import type {
  AccessTokenView,
  KeptCallback,
  OpccountCredential,
  TimelinePage,
  TokenizationPage,
  TokenizationView,
} from './answers.ts';
import type { Connection } from './connection.ts';
import type { TokenTransport } from './token-client.ts';

/**
 * The way over HTTP. Calls that say the same twice are done once, so they are sent again by themselves when they did not get
 * through. Access tokens are kept until shortly before their end, and asked for once however many want them.
 */
export function createHttpTransport(send: Connection): TokenTransport {
  const accessTokens = createAccessTokenCache(
    async (credential) =>
      await send<AccessTokenView>({
        method: 'get',
        path: `access-tokens/${credential}`,
        isIdempotent: true,
      }),
  );
  const act = async (id: string, action: 'disable' | 'confirm'): Promise<TokenizationView> =>
    await send<TokenizationView>({
      method: 'post',
      path: `tokenizations/${id}/${action}`,
      isIdempotent: true,
    });

  return {
    requestTokenization: async (body) =>
      await send<TokenizationView>({
        method: 'post',
        path: 'tokenizations',
        headers: { 'idempotency-key': body.merchant.referenceId },
        body,
        isIdempotent: true,
      }),
    getTokenization: async (id, wait) =>
      await send<TokenizationView>({
        method: 'get',
        path: `tokenizations/${id}`,
        isIdempotent: true,
        ...(wait === undefined
          ? {}
          : {
              query: { wait: `${wait.waitMs}ms`, until: wait.until },
              waitMs: wait.waitMs,
              signal: wait.signal,
            }),
      }),
    findTokenizations: async (filter, page, signal) =>
      await send<TokenizationPage>({
        method: 'get',
        path: 'tokenizations',
        query: { ...filter, ...page },
        isIdempotent: true,
        signal,
      }),
    readTimeline: async (id, page) =>
      await send<TimelinePage>({
        method: 'get',
        path: `tokenizations/${id}/timeline`,
        query: { ...page },
        isIdempotent: true,
      }),
    revealToken: async (id) =>
      (await reveal<{ quickpayId: string }>(send, `tokenizations/${id}`)).quickpayId,
    disableToken: async (id) => await act(id, 'disable'),
    confirmTokenization: async (id) => await act(id, 'confirm'),
    forward: async (channel, body) =>
      await send<KeptCallback>({
        method: 'post',
        path: `callbacks/${channel}`,
        body,
        isIdempotent: true,
      }),
    getAccessToken: accessTokens.get,
    async reportInvalidAccessToken(credential, generation) {
      accessTokens.forget(credential, generation);
      await send({
        method: 'post',
        path: `access-tokens/${credential}/invalid`,
        body: { generation },
        isIdempotent: true,
      });
    },
    revealOpccount: async (credential) =>
      await reveal<OpccountCredential>(send, `opccount-credentials/${credential}`),
  };
}

/** Each reveal is an audit row of its own, so none is sent again by itself. */
async function reveal<Answer>(send: Connection, path: string): Promise<Answer> {
  return await send<Answer>({ method: 'post', path: `${path}/reveal`, isIdempotent: false });
}
