import { describe, expect, test } from 'vitest';
import { createMetrics, metricTable } from '../../src/observability/metrics.ts';
import { renderMetricsTable } from '../../src/observability/metrics-table.ts';

describe('the metrics', () => {
  test('count observations by label', async () => {
    const metrics = createMetrics();
    metrics.countTransition('tokenization', 'tokenization.activated');
    metrics.countTransition('tokenization', 'tokenization.activated');
    metrics.countCallback('notify', 'kept');
    metrics.countAccessTokenRead('outage');
    metrics.countUnrecordedReads([{ reads: 2 }, { reads: 3 }]);
    metrics.observeBatch(7);
    metrics.observeJob({ queue: 'notify', job: 'notify.handle', outcome: 'done', durationMs: 30 });
    metrics.observeGatewayCall({ operation: 'create', outcome: 'unknown', durationMs: 12_000 });
    const { contentType, body } = await metrics.render();
    expect(contentType).toContain('text/plain');
    for (const line of [
      'token_worker_transitions_total{entity="tokenization",event="tokenization.activated"} 2',
      'token_worker_callbacks_total{channel="notify",result="kept"} 1',
      'token_worker_access_token_reads_total{outcome="outage"} 1',
      'token_worker_access_token_unrecorded_reads_total 5',
      'token_worker_transition_batch_size_sum 7',
      'token_worker_job_seconds_sum{queue="notify",job="notify.handle",outcome="done"} 0.03',
      'token_worker_gateway_call_seconds_bucket{le="10",operation="create",outcome="unknown"} 0',
      'token_worker_gateway_call_seconds_bucket{le="20",operation="create",outcome="unknown"} 1',
    ]) {
      expect(body.split('\n')).toContain(line);
    }
  });

  test('of two instances share nothing', async () => {
    const [first, second] = [createMetrics(), createMetrics()];
    first.countCallback('notify', 'kept');
    expect((await second.render()).body).not.toContain('result="kept"');
  });

  test('read depths on each scrape, and show none when the source fails', async () => {
    const metrics = createMetrics();
    let isReachable = true;
    metrics.onScrape(async () => {
      if (!isReachable) throw new Error('no Redis');
      return {
        queueDepths: [{ queue: 'notify', state: 'waiting', jobs: 4 }],
        outboxBacklog: { rows: 2, oldestMs: 1_500 },
        tokenizations: { active: 9 },
        accessTokens: { states: { fresh: 3 }, leastLeftMs: 61_500 },
        scanAgesMs: new Map([['access-token.scan', 2_500]]),
      };
    });
    const depth = 'token_worker_queue_jobs{queue="notify",state="waiting"} 4';
    const up = (await metrics.render()).body;
    expect(up).toContain(depth);
    expect(up).toContain('token_worker_outbox_rows 2');
    expect(up).toContain('token_worker_outbox_oldest_seconds 1.5');
    expect(up).toContain('token_worker_tokenizations{state="active"} 9');
    expect(up).toContain('token_worker_access_tokens{state="fresh"} 3');
    expect(up).toContain('token_worker_access_token_least_life_seconds 61.5');
    expect(up).toContain('token_worker_scan_age_seconds{job="access-token.scan"} 2.5');
    expect(up).toContain('token_worker_scrape_errors_total 0');
    isReachable = false;
    const down = (await metrics.render()).body;
    expect(down).not.toContain(depth);
    expect(down).toContain('token_worker_scrape_errors_total 1');
    isReachable = true;
    expect((await metrics.render()).body).toContain(depth);
  });

  test('an unreadable outbox is not shown as empty', async () => {
    const metrics = createMetrics();
    metrics.onScrape(async () => await Promise.reject(new Error('no database')));
    expect((await metrics.render()).body).not.toMatch(
      /^token_worker_outbox_(?:rows|oldest_seconds) /m,
    );
  });

  test('are exactly those of the table', async () => {
    const { body } = await createMetrics().render();
    const exposed = [...body.matchAll(/^# HELP (token_worker_\w+) /gm)].map(([, name]) => name);
    expect(new Set(exposed)).toEqual(new Set(Object.keys(metricTable)));
    expect(body).toContain('nodejs_eventloop_lag_seconds');
  });
});

test('docs/metrics.md is generated from the table of metrics', async () => {
  await expect(renderMetricsTable()).toMatchFileSnapshot('../../docs/metrics.md');
});
