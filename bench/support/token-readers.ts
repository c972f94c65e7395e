import { setTimeout } from 'node:timers/promises';
import type { App } from '../../src/app.ts';
import type { AccessTokenReader } from '../../src/access-token/read/reader.ts';
import { reportInvalidToken } from '../../src/access-token/read/report-invalid.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';

/** A token that a reader got; `expiresAtMs` is an instant. */
interface Read {
  readonly accessToken: string;
  readonly generation: number;
  readonly expiresAtMs: number;
}

/** Reads the token of a credential. */
export type ReadToken = (credential: string) => Promise<Read>;

const readersOfEachKind = 4;

/** Readers inside this process, as in a backend in TypeScript. */
export function inTypeScript(reader: AccessTokenReader): readonly ReadToken[] {
  return Array.from({ length: readersOfEachKind }, (_, n) => async (credential) => {
    const read = await reader.read(credential, { type: 'backend', id: `reader-${n}` });
    return {
      accessToken: read.accessToken.reveal(),
      generation: read.generation,
      expiresAtMs: read.expiresAt.getTime(),
    };
  });
}

/** Readers over HTTP. They do without the client, whose retries would hide faults. */
export function overHttp(baseUrl: string, apiKey: string): readonly ReadToken[] {
  const headers = { authorization: `Bearer ${apiKey}` };
  return Array.from({ length: readersOfEachKind }, () => async (credential) => {
    const response = await fetch(`${baseUrl}/v1/access-tokens/${credential}`, { headers });
    const body = (await response.json()) as {
      accessToken: string;
      generation: number;
      expiresAt: string;
      code: string;
    };
    if (!response.ok) throw new Error(`${response.status} ${body.code}`);
    return { ...body, expiresAtMs: Date.parse(body.expiresAt) };
  });
}

/** The counts of all readers. */
export interface Tally {
  reads: number;
  expiredReads: number;
  failedReads: number;
  revokedReads: number;
  longestMs: number;
  isRevoking: boolean;
  readonly faults: string[];
}

/** An empty tally. */
export function createTally(): Tally {
  return {
    reads: 0,
    expiredReads: 0,
    failedReads: 0,
    revokedReads: 0,
    longestMs: 0,
    isRevoking: false,
    faults: [],
  };
}

const faultsShown = 5;
const pauseMs = 4;

/** What the readers share. */
export interface ReadersScene {
  readonly app: App;
  /** The gateway, which tells whether a token is valid. */
  readonly sandbox: Sandbox;
  readonly credentials: number;
  readonly readerPauseMs?: number | undefined;
  readonly tally: Tally;
  /** Aborted when the readers have to stop. */
  readonly stop: AbortSignal;
}

/** Reads tokens of random credentials until `stop`. */
export async function keepReading(readToken: ReadToken, scene: ReadersScene): Promise<void> {
  const { credentials, readerPauseMs = pauseMs, tally, stop } = scene;
  while (!stop.aborted) {
    const credential = `c${Math.floor(Math.random() * credentials)}`;
    const startedAt = performance.now();
    const askedAtMs = Date.now();
    try {
      const read = await readToken(credential);
      tally.longestMs = Math.max(tally.longestMs, performance.now() - startedAt);
      tally.reads += 1;
      await checkToken(read, askedAtMs, credential, scene);
    } catch (error) {
      tally.failedReads += 1;
      note(tally, `${credential}: ${error instanceof Error ? error.message : 'unknown'}`);
    }
    await setTimeout(readerPauseMs);
  }
}

/**
 * Counts a token that had expired when it was requested, or that the gateway refuses before it
 * expires. A token that expires during the check counts as neither.
 */
async function checkToken(
  { accessToken, generation, expiresAtMs }: Read,
  askedAtMs: number,
  credential: string,
  { app, sandbox, tally }: ReadersScene,
): Promise<void> {
  const hasExpired = expiresAtMs <= askedAtMs;
  const response = await fetch(`${sandbox.url}/card-api/v1/probe`, {
    method: 'POST',
    headers: { authorization: accessToken },
  });
  await response.arrayBuffer();
  if (!hasExpired && (response.ok || expiresAtMs <= Date.now())) return;
  if (!hasExpired && tally.isRevoking) {
    tally.revokedReads += 1;
    const actor = { type: 'backend', id: 'reader' } as const;
    await reportInvalidToken(app.operations, credential, generation, actor);
    return;
  }
  tally.expiredReads += 1;
  note(tally, `${credential}: generation ${generation} is ${hasExpired ? 'expired' : 'refused'}`);
}

function note(tally: Tally, fault: string): void {
  if (tally.faults.length < faultsShown) tally.faults.push(fault);
}
