import { describe, expect } from 'vitest';
import { addApiKey } from '../../../src/http/api/store-api-key.ts';
import { testActor } from '../../support/builders.ts';
import { test } from '../../support/harness/fixtures.ts';

describe('stored API key', () => {
  test('is stored as a digest alone', async ({ database, door }) => {
    const operations = { db: database.db, door };
    const key = (await addApiKey(operations, { name: 'a', scopes: ['read'] }, testActor)).reveal();
    expect(key).toMatch(/^tlw_[A-Za-z0-9_-]{43}$/);
    const rows = await database.db.selectFrom('api_key').selectAll().execute();
    const audit = await database.db.selectFrom('audit_event').selectAll().execute();
    expect(JSON.stringify({ rows, audit })).not.toContain(key.slice(4));
    expect(audit).toMatchObject([{ event: 'api_key.added', detail: { scopes: ['read'] } }]);
  });
});
