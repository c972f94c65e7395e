import { createServer } from 'node:https';
import { once } from 'node:events';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { createGatewayClient } from '../../src/gateway/client.ts';
import { Secret } from '../../src/security/secret.ts';
import { startConnectProxy } from '../support/services/connect-proxy.ts';
import { makeLocalCertificate } from '../support/services/local-certificate.ts';
import { answering, startLocalGateway } from './gateway-client.ts';

const account = { account: '995149', terminal: '99514901', secureCode: new Secret('code') };
const encryptionKey = `k1:${Buffer.alloc(32, 7).toString('base64')}`;

/** A gateway on https whose certificate this process trusts until the test ends. */
async function startTlsGateway() {
  const certificate = await makeLocalCertificate();
  const trusted = getCACertificates('default');
  setDefaultCACertificates([...trusted, certificate.cert]);
  const server = createServer(certificate, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"code":"000"}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    setDefaultCACertificates(trusted);
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return { url: `https://localhost:${port}`, host: `localhost:${port}` };
}

/** A client of the gateway at `url`, with these variables of the environment. */
function clientOf(url: string, env: Readonly<Record<string, string>>) {
  const { gateway } = loadConfig({
    ENCRYPTION_KEYS: encryptionKey,
    OCEANPAYMENT_CHECKOUT_URL: url,
    GATEWAY_TIMEOUT_MS: '2000',
    ...env,
  });
  const client = createGatewayClient(gateway);
  onTestFinished(client.close);
  return client;
}

describe('gateway calls behind a proxy', () => {
  test.each(['HTTPS_PROXY', 'https_proxy'])('go through the proxy of %s', async (name) => {
    const gateway = await startTlsGateway();
    const proxy = await startConnectProxy();
    const login = proxy.url.replace('//', '//worker:hunter2@');
    const client = clientOf(gateway.url, { [name]: login });
    expect(await client.checkAccount(account)).toEqual({ kind: 'done' });
    expect(await client.checkAccount(account)).toEqual({ kind: 'done' });
    expect(new Set(proxy.targets)).toEqual(new Set([gateway.host]));
    expect(proxy.logins[0]).toBe(`Basic ${Buffer.from('worker:hunter2').toString('base64')}`);
  });

  test.each([
    ['NO_PROXY', '.internal, localhost'],
    ['no_proxy', '*'],
  ])('go straight to a host that %s names', async (name, hosts) => {
    const gateway = await startTlsGateway();
    const proxy = await startConnectProxy();
    const client = clientOf(gateway.url, { HTTPS_PROXY: proxy.url, [name]: hosts });
    expect(await client.checkAccount(account)).toEqual({ kind: 'done' });
    expect(proxy.targets).toEqual([]);
  });

  test('have an unknown outcome if the proxy refuses the tunnel or does not answer', async () => {
    const gateway = await startTlsGateway();
    const refusing = await startConnectProxy(407);
    for (const proxy of [refusing.url, '127.0.0.1:1']) {
      const client = clientOf(gateway.url, { HTTPS_PROXY: proxy });
      expect(await client.checkAccount(account)).toEqual({ kind: 'unknown', cause: 'connection' });
    }
    expect(refusing.targets).not.toEqual([]);
  });

  test('of a local sandbox over plain HTTP never use a proxy', async () => {
    const proxy = await startConnectProxy();
    const gateway = await startLocalGateway(answering({ code: '000' }));
    const client = clientOf(gateway.url, { HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url });
    expect(await client.checkAccount(account)).toEqual({ kind: 'done' });
    expect(proxy.targets).toEqual([]);
  });
});
