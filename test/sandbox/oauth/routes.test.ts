import { afterEach, describe, expect, it } from 'vitest';
import {
  type FaultSwitches,
  type Sandbox,
  sandboxDefaults,
  startSandbox,
} from '../../../src/sandbox/sandbox.ts';
import { clientOf, postJson } from '../client.ts';

let sandbox: Sandbox;
afterEach(() => sandbox.close());

async function start(faults: Partial<FaultSwitches> = {}, accessTokenTtlMs = 3_600_000) {
  sandbox = await startSandbox({ faults, accessTokenTtlMs });
  return clientOf(sandbox);
}

describe('OAuth create', () => {
  it('answers a token pair with a valid access token', async () => {
    const client = await start();
    const answer = await client.oauthCreate();
    expect(answer).toMatchObject({ code: '000', msg: 'SUCCESS', data: { expires_in: 3600 } });
    const [header, payload] = String(answer.data.refresh_token).split('.');
    expect(Buffer.from(header ?? '', 'base64url').toString()).toBe('{"alg":"HS512"}');
    const claims: unknown = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString());
    expect(claims).toStrictEqual({
      op_id: sandboxDefaults.appKey,
      sign_date: expect.any(Number),
    });
    expect(await client.probe(answer.data.access_token)).toBe(200);
  });

  it('refuses a wrong app secret', async () => {
    await start();
    const url = `${sandbox.openApiUrl}/oauth/token/create`;
    const body = { app_key: sandboxDefaults.appKey, app_secret: 'wrong' };
    expect(await postJson(url, body)).toMatchObject({ code: '40001', data: {} });
  });

  it('answers a bare access token, which the probe refuses with the prefix Bearer', async () => {
    const client = await start();
    const { data } = await client.oauthCreate();
    expect(await client.probe('')).toBe(401);
    expect(await client.probe('foreign')).toBe(401);
    expect(await client.probe(`Bearer ${data.access_token}`)).toBe(401);
  });

  it('keeps earlier tokens valid, and revokes them under createInvalidates', async () => {
    const client = await start();
    const first = await client.oauthCreate();
    await client.oauthCreate();
    expect(await client.probe(first.data.access_token)).toBe(200);
    sandbox.setFaults({ createInvalidates: true });
    await client.oauthCreate();
    expect(await client.probe(first.data.access_token)).toBe(401);
    expect((await client.oauthRefresh(first.data.refresh_token)).code).toBe('40011');
    expect(sandbox.state().accessTokens).toStrictEqual({ issued: 3, valid: 1 });
  });

  it('answers an access token that expires after accessTokenTtlMs', async () => {
    const client = await start({}, 0);
    expect(await client.probe((await client.oauthCreate()).data.access_token)).toBe(401);
  });
});

describe('OAuth refresh', () => {
  it('rotates: it answers a new refresh token and revokes the old one', async () => {
    const client = await start();
    const first = await client.oauthCreate();
    const second = await client.oauthRefresh(first.data.refresh_token);
    expect(second.data.refresh_token).not.toBe(first.data.refresh_token);
    expect(await client.probe(second.data.access_token)).toBe(200);
    expect(await client.probe(first.data.access_token)).toBe(200);
    expect((await client.oauthRefresh(first.data.refresh_token)).code).toBe('40011');
    expect((await client.oauthRefresh(second.data.refresh_token)).code).toBe('000');
  });

  it('keeps a rotated refresh token valid within oldRefreshGraceMs', async () => {
    const client = await start({ oldRefreshGraceMs: 60_000 });
    const { data } = await client.oauthCreate();
    await client.oauthRefresh(data.refresh_token);
    expect((await client.oauthRefresh(data.refresh_token)).code).toBe('000');
  });

  it('answers no refresh token without refreshRotates, and the old one stays valid', async () => {
    const client = await start({ refreshRotates: false });
    const { data } = await client.oauthCreate();
    const second = await client.oauthRefresh(data.refresh_token);
    expect(second.data).not.toHaveProperty('refresh_token');
    expect((await client.oauthRefresh(data.refresh_token)).code).toBe('000');
  });

  it('revokes the earlier access token under oldAccessTokenDies', async () => {
    const client = await start({ oldAccessTokenDies: true });
    const first = await client.oauthCreate();
    const second = await client.oauthRefresh(first.data.refresh_token);
    expect(await client.probe(first.data.access_token)).toBe(401);
    expect(await client.probe(second.data.access_token)).toBe(200);
  });

  it('refuses a valid refresh token under refreshRejectRate without using it up', async () => {
    const client = await start({ refreshRejectRate: 1 });
    const { data } = await client.oauthCreate();
    expect((await client.oauthRefresh(data.refresh_token)).code).toBe('40011');
    sandbox.setFaults({ refreshRejectRate: 0 });
    expect((await client.oauthRefresh(data.refresh_token)).code).toBe('000');
  });
});

describe('OAuth answer shapes', () => {
  it('follow oauthShape, oauthSuccessCode and omitExpiresIn', async () => {
    const client = await start({ oauthShape: 'data.accessToken', oauthSuccessCode: '200' });
    expect(await client.oauthCreate()).toStrictEqual({
      code: '200',
      msg: 'SUCCESS',
      data: {
        accessToken: expect.any(String),
        refreshToken: expect.any(String),
        expiresIn: 3600,
      },
    });
    sandbox.setFaults({ oauthShape: 'access_token', omitExpiresIn: true });
    expect(await client.oauthCreate()).toStrictEqual({
      code: '200',
      msg: 'SUCCESS',
      access_token: expect.any(String),
      refresh_token: expect.any(String),
    });
  });
});
