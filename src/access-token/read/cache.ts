import { findReadableAccessToken, type ReadableAccessToken } from '../../db/access-tokens.ts';
import { databaseIsAway } from '../../db/faults.ts';
import { AppError } from '../../domain/errors.ts';
import type { Secret } from '../../security/secret.ts';
import { tokenPlace } from '../row.ts';
import type { OperationDependencies } from '../../execution/dependencies.ts';
import { singleFlight } from './single-flight.ts';
import { withTimeout } from '../../db/with-timeout.ts';

/** A valid token and until when it is. */
export interface RememberedToken {
  readonly token: {
    readonly accessToken: Secret;
    readonly generation: number;
    readonly issuedAt: Date;
    readonly expiresAt: Date;
  };
  readonly rowId: string;
  /** On this process's monotonic clock, so that a wrong or jumping clock keeps no dead token alive. */
  readonly validUntilMs: number;
}

/** What is remembered of a credential. */
export interface Recollection {
  readonly remembered: RememberedToken;
  /** Whether no change is known of, and it is so young that a notification that got lost can't have been lost for long. */
  readonly isTrusted: boolean;
}

/** What Postgres holds for a credential; without a token there is no valid one. */
export interface LoadedToken {
  readonly row: ReadableAccessToken;
  readonly token: RememberedToken | undefined;
}

/** Valid tokens in memory, by credential. */
export interface AccessTokenMemory {
  /** The remembered token, if it is still valid. One that is no longer young is looked at anew behind the caller's back. */
  readonly find: (credential: string) => Recollection | undefined;
  /**
   * Asks Postgres, once for all who ask at the same time. Throws `credential_not_found`, and `database_unavailable` when there is no
   * answer within seconds.
   */
  readonly load: (credential: string) => Promise<LoadedToken>;
  /** The row of this id has changed. */
  readonly forget: (rowId: string) => void;
  /** Any row may have changed. */
  readonly forgetAll: () => void;
  /** This generation of a credential's token, or what came before it, is said to be no good. */
  readonly doubt: (credential: string, generation: number) => void;
  /** Waits for the next change, `ms` milliseconds at most. */
  readonly untilChanged: (ms: number) => Promise<void>;
}

/** From this age on, a token that is read is looked at anew, while readers still get it. */
const youngMs = 10_000;
/** From this age on, nobody gets it without a look at Postgres. */
const trustedMs = 30_000;
/** How long a load may take. What hangs longer is given up, so that the next one takes a connection that works. */
const answerMsMax = 5_000;

interface Entry {
  readonly remembered: RememberedToken;
  /** When it was asked for. */
  readonly askedAtMs: number;
  readonly isDoubted: boolean;
}

/** Creates an empty memory. `now` is a clock in milliseconds that only goes forward. */
export function createAccessTokenMemory(
  { db, keyring }: Pick<OperationDependencies, 'db' | 'keyring'>,
  now: () => number = () => performance.now(),
): AccessTokenMemory {
  const entries = new Map<string, Entry>();
  const loads = new Map<string, Promise<LoadedToken>>();
  const wakers = new Set<() => void>();
  let changes = 0;

  /** What is doubted is not lost: while Postgres is away, a token that may be good is better than none. */
  function doubt(credential: string, entry: Entry): void {
    entries.set(credential, { ...entry, isDoubted: true });
  }

  function changed(): void {
    changes += 1;
    for (const wake of wakers) wake();
  }

  async function load(credential: string): Promise<LoadedToken> {
    return await singleFlight(loads, credential, async () => {
      const changesBefore = changes;
      const askedAtMs = now();
      const row = await withTimeout(
        findReadableAccessToken(db, credential),
        answerMsMax,
        databaseIsAway,
      );
      const remembered = row && open(row, askedAtMs, keyring);
      // A change that was heard meanwhile may be about this very row.
      const isDoubted = changes !== changesBefore;
      if (remembered === undefined) entries.delete(credential);
      else entries.set(credential, { remembered, askedAtMs, isDoubted });
      if (row === undefined) throw notFound();
      return { row, token: remembered };
    });
  }

  return {
    find(credential) {
      const entry = entries.get(credential);
      if (entry === undefined || now() >= entry.remembered.validUntilMs) return undefined;
      const ageMs = now() - entry.askedAtMs;
      if (ageMs >= youngMs) load(credential).catch(() => undefined);
      return {
        remembered: entry.remembered,
        isTrusted: !entry.isDoubted && ageMs < trustedMs,
      };
    },
    load,
    forget(rowId) {
      changed();
      for (const [credential, entry] of entries) {
        if (entry.remembered.rowId !== rowId) continue;
        doubt(credential, entry);
        // At once, so that what is over is not handed out should Postgres go away next.
        load(credential).catch(() => undefined);
      }
    },
    forgetAll() {
      changed();
      for (const [credential, entry] of entries) doubt(credential, entry);
    },
    doubt(credential, generation) {
      const entry = entries.get(credential);
      if (entry === undefined || entry.remembered.token.generation > generation) return;
      changed();
      doubt(credential, entry);
    },
    untilChanged: async (ms) =>
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          wakers.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, ms);
        wakers.add(wake);
      }),
  };
}

/** The row's token where it is valid. Its time is counted from before the query, so that the network takes none of it. */
function open(
  row: ReadableAccessToken,
  startedAt: number,
  keyring: OperationDependencies['keyring'],
): RememberedToken | undefined {
  const { id, generation, access_token_sealed: sealed, leftMs } = row;
  const { issued_at: issuedAt, expires_at: expiresAt } = row;
  if (sealed === null || issuedAt === null || expiresAt === null || leftMs <= 0) return undefined;
  const accessToken = keyring.open(tokenPlace('access_token_sealed', id), sealed);
  return {
    rowId: id,
    token: { accessToken, generation, issuedAt, expiresAt },
    validUntilMs: startedAt + leftMs,
  };
}

function notFound(): AppError {
  return new AppError('credential_not_found', 'No active OPCard credential has this name.', {
    paths: ['credential'],
  });
}
