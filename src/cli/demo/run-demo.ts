import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { type App, startApp } from '../../app.ts';
import { listDeliveries } from '../../db/deliveries.ts';
import { exitCodes } from '../../domain/exit-codes.ts';
import { roles } from '../../domain/roles.ts';
import { createLogger } from '../../observability/logger.ts';
import {
  type DemoEnvironment,
  introduce,
  prepareDemo,
  removeCredentials,
  storeCredentials,
  tokenGeneration,
} from './demo-environment.ts';
import { driveLifecycle, type Lifecycle } from './lifecycle.ts';
import { untilStopSignal } from '../stop-signal.ts';
import { createProgress } from './progress.ts';
import { summarise } from './summary.ts';
import { scenarioOf } from './scenarios.ts';

/** How the demo runs. */
export interface DemoOptions {
  /** Lifecycles to drive; with 0 the person who runs the demo is the only customer. */
  readonly tokens: number;
  /** Whether the demo ends by itself; otherwise it runs until Ctrl-C. */
  readonly isExiting: boolean;
}

/** Concurrent lifecycles. */
const concurrency = 50;
/** Far longer than the slowest scenario, which waits for its deadline. */
const settleWithinMs = 45_000;
const pollEveryMs = 200;

/**
 * Runs the demo and resolves to the exit code: 0 only if every lifecycle has its expected state,
 * the audit trail has no break and the access token was renewed.
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const stopping = new AbortController();
  void untilStopSignal().then(() => stopping.abort());
  const environment = await prepareDemo(options.tokens > 0);
  try {
    return await runWith(environment, options, stopping.signal);
  } catch (error) {
    // Ctrl-C in a terminal also stops the embedded PostgreSQL, and queries in progress fail.
    if (!stopping.signal.aborted) throw error;
    console.error('Stopped before the end.');
    return exitCodes.fault;
  } finally {
    await environment.close();
  }
}

async function runWith(
  environment: DemoEnvironment,
  { tokens, isExiting }: DemoOptions,
  signal: AbortSignal,
): Promise<number> {
  const startedAt = performance.now();
  const app = await startApp({
    config: environment.config,
    databaseUrl: environment.databaseUrl,
    roles: new Set(roles),
    logger: createLogger({ level: process.env['LOG_LEVEL'] ?? 'fatal' }),
  });
  try {
    await storeCredentials(environment, app.operations);
    await introduce(environment, app);
    const lifecycles: Lifecycle[] = [];
    const { db } = app.operations;
    const progress = createProgress(db, lifecycles);
    try {
      await driveAll(environment, app, { tokens, lifecycles }, signal);
      await progress.untilSettled(settleWithinMs, signal);
      // No delivery to the merchant's backend is pending, and the access token was renewed.
      await until(signal, async () => (await listDeliveries(db, 'pending', 1)).length === 0);
      await until(signal, async () => (await tokenGeneration(environment, app.operations)) >= 2);
    } finally {
      progress.close();
    }
    const summary = await summarise(environment, app, lifecycles, performance.now() - startedAt);
    if (!isExiting && !signal.aborted) await stayUp(app, signal);
    await removeCredentials(environment, app.operations);
    console.log(JSON.stringify(summary.line));
    return summary.isGood ? exitCodes.clean : exitCodes.fault;
  } catch (error) {
    // The API key of a failed demo must not stay valid on a database that outlives it.
    await removeCredentials(environment, app.operations).catch(() => undefined);
    throw error;
  } finally {
    await app.stop();
  }
}

async function until(signal: AbortSignal, isReached: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + settleWithinMs;
  while (performance.now() < deadline && !signal.aborted) {
    if (await isReached()) return;
    await setTimeout(pollEveryMs);
  }
}

async function stayUp({ urls }: App, signal: AbortSignal): Promise<void> {
  console.log(`\nStill running; look at ${urls?.private}/queues. Ctrl-C stops it.`);
  if (!signal.aborted) await once(signal, 'abort');
}

async function driveAll(
  environment: DemoEnvironment,
  app: App,
  work: { tokens: number; lifecycles: Lifecycle[] },
  signal: AbortSignal,
): Promise<void> {
  const numbers = Array.from({ length: work.tokens }, (_, index) => index).values();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const index of numbers) {
        if (signal.aborted) return;
        await driveLifecycle(environment, app, scenarioOf(index), work.lifecycles);
      }
    }),
  );
}
