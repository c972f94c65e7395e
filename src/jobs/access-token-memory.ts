import { findReadableAccessToken, type ReadableAccessToken } from '../db/access-tokens.ts';
import { AppError } from '../domain/errors.ts';
import type { Secret } from '../security/secret.ts';
import { tokenPlace } from './access-token-row.ts';
import type { OperationDependencies } from './job-dependencies.ts';
import { oneFlight } from './one-flight.ts';

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

/** What Postgres holds for a credential; without a token there is no valid one. */
export interface LoadedToken {
  readonly row: ReadableAccessToken;
  readonly token: RememberedToken | undefined;
}

/** Valid tokens in memory, by credential. */
export interface AccessTokenMemory {
  /** The remembered token, if it is still valid. */
  readonly find: (credential: string) => RememberedToken | undefined;
  /** Asks Postgres, once for all who ask at the same time. Throws `credential_not_found`. */
  readonly load: (credential: string) => Promise<LoadedToken>;
  /** The row of this id has changed. */
  readonly forget: (rowId: string) => void;
  /** Any row may have changed. */
  readonly forgetAll: () => void;
  /** Waits for the next change, `ms` milliseconds at most. */
  readonly untilChanged: (ms: number) => Promise<void>;
}

/** Creates an empty memory. */
export function createAccessTokenMemory({
  db,
  keyring,
}: Pick<OperationDependencies, 'db' | 'keyring'>): AccessTokenMemory {
  const remembered = new Map<string, RememberedToken>();
  const loads = new Map<string, Promise<LoadedToken>>();
  const wakers = new Set<() => void>();
  let changes = 0;

  function changed(): void {
    changes += 1;
    for (const wake of wakers) wake();
  }

  return {
    find(credential) {
      const known = remembered.get(credential);
      return known !== undefined && performance.now() < known.validUntilMs ? known : undefined;
    },
    load: async (credential) =>
      await oneFlight(loads, credential, async () => {
        const changesBefore = changes;
        const startedAt = performance.now();
        const row = await findReadableAccessToken(db, credential);
        if (row === undefined) throw notFound();
        const token = open(row, startedAt, keyring);
        // A change that was heard meanwhile may be about this very row.
        if (token !== undefined && changes === changesBefore) remembered.set(credential, token);
        else remembered.delete(credential);
        return { row, token };
      }),
    forget(rowId) {
      for (const [credential, known] of remembered) {
        if (known.rowId === rowId) remembered.delete(credential);
      }
      changed();
    },
    forgetAll() {
      remembered.clear();
      changed();
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
