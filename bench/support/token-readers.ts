import { setTimeout } from 'node:timers/promises';
import type { App } from '../../src/app.ts';
import type { AccessTokenReader } from '../../src/access-token/read/reader.ts';
import { reportInvalidToken } from '../../src/access-token/read/report-invalid.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';

/** What a reader got: a token with its end, as an instant in milliseconds. */
interface Read {
  readonly accessToken: string;
  readonly generation: number;
  readonly expiresAtMs: number;
}

/** Reads the token of a credential. */
export type ReadToken = (credential: string) => Promise<Read>;

const readersOfEachKind = 4;

/** Readers inside the process, as a backend in TypeScript has them. */
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

/** Readers over HTTP, without the client: its retries would hide what they meet. */
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

/** What all readers met. */
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

/** Where readers read, and the gateway that judges what they get. */
export interface ReadersScene {
  readonly app: App;
  readonly sandbox: Sandbox;
}

/** Reads tokens of random credentials until it is over. */
export async function keepReading(
  readToken: ReadToken,
  { credentials, readerPauseMs = pauseMs }: { credentials: number; readerPauseMs?: number },
  scene: ReadersScene,
  tally: Tally,
  over: AbortSignal,
): Promise<void> {
  while (!over.aborted) {
    const credential = `c${Math.floor(Math.random() * credentials)}`;
    const startedAt = performance.now();
    const askedAtMs = Date.now();
    try {
      const read = await readToken(credential);
      tally.longestMs = Math.max(tally.longestMs, performance.now() - startedAt);
      tally.reads += 1;
      await check(read, askedAtMs, credential, scene, tally);
    } catch (error) {
      tally.failedReads += 1;
      note(tally, `${credential}: ${error instanceof Error ? error.message : 'unknown'}`);
    }
    await setTimeout(readerPauseMs);
  }
}

/**
 * Whether the token was past its end when it was asked for, or the gateway refuses it before its end. One that ends on its way is nobody's
 * fault.
 */
async function check(
  { accessToken, generation, expiresAtMs }: Read,
  askedAtMs: number,
  credential: string,
  { app, sandbox }: ReadersScene,
  tally: Tally,
): Promise<void> {
  const isPast = expiresAtMs <= askedAtMs;
  const response = await fetch(`${sandbox.url}/card-api/v1/probe`, {
    method: 'POST',
    headers: { authorization: accessToken },
  });
  await response.arrayBuffer();
  if (!isPast && (response.ok || expiresAtMs <= Date.now())) return;
  if (!isPast && tally.isRevoking) {
    tally.revokedReads += 1;
    const actor = { type: 'backend', id: 'reader' } as const;
    await reportInvalidToken(app.operations, credential, generation, actor);
    return;
  }
  tally.expiredReads += 1;
  note(tally, `${credential}: generation ${generation} is ${isPast ? 'past its end' : 'refused'}`);
}

function note(tally: Tally, fault: string): void {
  if (tally.faults.length < faultsShown) tally.faults.push(fault);
}
