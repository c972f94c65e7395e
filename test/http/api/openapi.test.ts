import { readFile } from 'node:fs/promises';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { apiScopes } from '../../../src/domain/api-key.ts';
import { errorCodes } from '../../../src/domain/errors.ts';
import { kindOf } from '../../../src/http/api/problem.ts';
import { summarizeHealth } from '../../../src/domain/health.ts';
import { createPrivateServer } from '../../../src/http/private-server.ts';
import type { HttpServer } from '../../../src/http/public-server.ts';
import { apiRoutes } from '../../../src/http/routes/v1/api-routes.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { undescribedProperties } from '../../support/undescribed.ts';
import { noAccessTokens, noOperations } from '../../support/harness/no-operations.ts';

const path = new URL('../../../docs/openapi.json', import.meta.url);

let server: HttpServer;
let text: string;

beforeAll(async () => {
  server = createPrivateServer(
    {
      host: '127.0.0.1',
      port: 0,
      console: undefined,
      api: { keys: [], requestsPerMinuteMax: 6_000 },
    },
    {
      readiness: async () => summarizeHealth([], []),
      renderMetrics: async () => ({ contentType: 'text/plain', body: '' }),
      boardQueues: [],
      operations: noOperations,
      accessTokens: noAccessTokens,
      observeApiRequest: () => undefined,
      logger: createLogger({ level: 'silent' }),
    },
  );
  const { url } = await server.listen();
  const answer = await fetch(`${url}/openapi.json`);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toContain('application/json');
  text = `${JSON.stringify(await answer.json(), null, 2)}\n`;
});

afterAll(async () => {
  await server.close();
});

const operation = z.object({
  operationId: z.string(),
  security: z.array(z.object({ apiKey: z.array(z.enum(apiScopes)) })),
  responses: z.record(z.string(), z.object({ content: z.record(z.string(), z.unknown()) })),
});
const document = z.object({
  openapi: z.literal('3.1.0'),
  paths: z.record(z.string(), z.record(z.string(), operation)),
});

describe('OpenAPI document', () => {
  test('docs/openapi.json is generated from the routes', async () => {
    await expect(text).toMatchFileSnapshot(path.pathname);
  });

  test('describes each field of requests and answers', () => {
    expect(undescribedProperties(JSON.parse(text))).toEqual([]);
  });

  test('lists each route with its scope, and problems for every other status than 2xx', () => {
    const { paths } = document.parse(JSON.parse(text));
    const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
    const described = operations.map(({ operationId, security }): [string, unknown] => [
      operationId,
      security[0]?.apiKey,
    ]);
    expect(new Map(described)).toEqual(
      new Map<string, unknown>(apiRoutes.map(({ operationId, scope }) => [operationId, [scope]])),
    );
    for (const { responses } of operations) {
      for (const [status, { content }] of Object.entries(responses)) {
        const type = Number(status) < 300 ? 'application/json' : 'application/problem+json';
        expect(Object.keys(content)).toEqual([type]);
      }
      expect(Object.keys(responses)).toEqual(expect.arrayContaining(['400', '401', '403', '429']));
    }
  });

  test('is valid OpenAPI 3.1 without an unresolved reference', async () => {
    const faultsOf = async (source: string): Promise<readonly string[]> => {
      const validator = new Validator();
      const { valid, errors } = await validator.validate(
        JSON.parse(source) as Record<string, unknown>,
      );
      if (!valid) return [JSON.stringify(errors)];
      try {
        validator.resolveRefs();
        return [];
      } catch (error) {
        return [String(error)];
      }
    };
    expect(await faultsOf(text)).toEqual([]);
    const openReference = text.replace('#/components/schemas/Problem"', '#/components/schemas/A"');
    expect((await faultsOf(openReference)).join()).toContain("Can't resolve");
    expect(await faultsOf(text.replace('"responses"', '"answers"'))).toHaveLength(1);
  });
});

test('docs/http-api.md lists each error code except those with status 500', async () => {
  const guide = await readFile(new URL('../../../docs/http-api.md', import.meta.url), 'utf8');
  const rows = guide.match(/^\| \d{3} \| `\w+` \|/gm) ?? [];
  const expected = errorCodes
    .filter((code) => kindOf(code).status !== 500)
    .map((code) => `| ${kindOf(code).status} | \`${code}\` |`);
  expect(new Set(rows)).toEqual(new Set(expected));
});
