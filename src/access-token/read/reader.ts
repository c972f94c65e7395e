import type { ReadableAccessToken } from '../../db/access-tokens.ts';
import { databaseIsAway, isDatabaseOutage } from '../../db/faults.ts';
import { insertOutboxJobs } from '../../db/outbox.ts';
import type { AccessTokenRead } from '../../domain/access-token.ts';
import type { AccessTokenView } from '../../domain/api-shapes.ts';
import type { Actor } from '../../domain/audit-entry.ts';
import { AppError } from '../../domain/errors.ts';
import { jobId } from '../../domain/ids.ts';
import { createAccessTokenMemory, type LoadedToken, type RememberedToken } from './cache.ts';
import { createHandOutLog, type HandOut } from './read-audit.ts';
import { withTimeout } from '../../db/with-timeout.ts';
import type { OperationDependencies } from '../../execution/dependencies.ts';
import { singleFlight } from './single-flight.ts';
import { refreshJob } from '../../domain/outbox-job.ts';
import { listenTo } from '../../db/listen.ts';

/** A valid access token as it is handed to a backend. */
export interface AccessToken extends Readonly<RememberedToken['token']> {
  /** Whole seconds until it must no longer be used, rounded down. */
  readonly secondsLeft: number;
}

/** An access token in the clear, as a backend gets it. */
export function accessTokenViewOf(token: AccessToken): AccessTokenView {
  return {
    accessToken: token.accessToken.reveal(),
    generation: token.generation,
    issuedAt: token.issuedAt.toISOString(),
    expiresAt: token.expiresAt.toISOString(),
    secondsLeft: token.secondsLeft,
  };
}

/** Hands out access tokens. */
export interface AccessTokenReader {
  /**
   * The valid access token of a credential, at once in whatever state its renewal is: from memory, else from Postgres. Only when it has truly
   * run out does the reader wait, together with all others who want it, for a renewal. A valid token in memory is withheld only where
   * Postgres says that there is no such credential or no such token any more.
   * Throws `credential_not_found`, or `access_token_unavailable`, which is worth a retry.
   */
  readonly read: (credential: string, actor: Actor) => Promise<AccessToken>;
  /** A backend was refused with this generation: nobody of this process gets it, or one before it, without a look at Postgres. */
  readonly doubt: (credential: string, generation: number) => void;
  /** Writes down what was handed out and not yet written down. */
  readonly close: () => Promise<void>;
}

/** What a reader works with. Times in milliseconds. */
export interface AccessTokenReaderOptions extends Omit<OperationDependencies, 'settings'> {
  /** Whether changes are sure to be heard through `forget`; without that, memory is for outages only. */
  readonly isSubscribed: () => boolean;
  /** Told what each read came to, once for each. */
  readonly onRead?: (outcome: AccessTokenRead) => void;
  /** Called when a renewal was asked for, so that it need not wait for the next poll. */
  readonly onJobsWritten?: () => void;
  /** Told of hand-outs that are not in the audit trail: `isLost` when they never will be, else they are tried again. */
  readonly onUnwritten?: (handOuts: readonly HandOut[], error: unknown, isLost: boolean) => void;
  /** The longest wait for a renewal, default 5,000. */
  readonly waitMsMax?: number;
}

/** A reader, and the ears by which it hears that a token has changed. */
export type ListeningReader = AccessTokenReader & {
  /** The row of this id has changed. */
  readonly forget: (rowId: string) => void;
  /** Any row may have changed unheard. */
  readonly forgetAll: () => void;
};

/** A token on its way out, and where it was found. */
interface Found {
  readonly remembered: RememberedToken;
  readonly outcome: AccessTokenRead;
}

const waitMsMaxDefault = 5_000;
const pollMs = 250;
/** How long a reader that could be served from memory waits for Postgres to say that it need not be. */
const patienceMs = 250;

/** Creates a reader. Tokens are kept in memory by generation and doubted when Postgres notifies of a new one. */
export function createAccessTokenReader(options: AccessTokenReaderOptions): ListeningReader {
  const { isSubscribed, onRead = () => undefined, waitMsMax = waitMsMaxDefault } = options;
  const memory = createAccessTokenMemory(options);
  const handOuts = createHandOutLog(options);
  const waits = new Map<string, Promise<RememberedToken>>();
  let isAway = false;

  async function read(credential: string, actor: Actor): Promise<AccessToken> {
    const { remembered, outcome } = await find(credential).catch((error: unknown) => {
      onRead(outcomeOf(error));
      throw error;
    });
    onRead(outcome);
    return handOut(remembered, actor);
  }

  async function find(credential: string): Promise<Found> {
    const askedAt = performance.now();
    const known = memory.find(credential);
    if (known?.isTrusted === true && isSubscribed()) {
      return { remembered: known.remembered, outcome: 'memory' };
    }
    // A valid token is a valid token, also while Postgres is away.
    const loaded = known ? await loadPromptly(credential) : await memory.load(credential);
    if (loaded === undefined && known) return { remembered: known.remembered, outcome: 'outage' };
    if (loaded?.token !== undefined) return { remembered: loaded.token, outcome: 'database' };
    const flight = singleFlight(waits, credential, async () => await untilRenewed(credential));
    const leftMs = askedAt + waitMsMax + pollMs - performance.now();
    return { remembered: await withTimeout(flight, leftMs, unavailable), outcome: 'waited' };
  }

  /** What Postgres says, or undefined when it says nothing of use soon. While it is known to be away, nobody waits for it again. */
  async function loadPromptly(credential: string): Promise<LoadedToken | undefined> {
    const load = memory.load(credential);
    load.then(
      () => (isAway = false),
      (error: unknown) => (isAway = !isAnswer(error)),
    );
    try {
      return await withTimeout(load, isAway ? 0 : patienceMs, databaseIsAway);
    } catch (error) {
      if (isNotFound(error)) throw error;
      isAway = !isAnswer(error);
      return undefined;
    }
  }

  function handOut({ token, rowId, validUntilMs }: RememberedToken, actor: Actor): AccessToken {
    handOuts.count(rowId, token.generation, actor);
    const secondsLeft = Math.floor(Math.max(0, validUntilMs - performance.now()) / 1_000);
    return { ...token, secondsLeft };
  }

  async function untilRenewed(credential: string): Promise<RememberedToken> {
    const deadline = performance.now() + waitMsMax;
    for (let isAsked = false; ;) {
      const { row, token } = await memory.load(credential);
      if (token !== undefined) return token;
      const leftMs = deadline - performance.now();
      // Nobody will try before the wait is over: say so at once.
      if (leftMs <= 0 || row.nextAttemptInMs > leftMs) throw unavailable();
      if (!isAsked && row.nextAttemptInMs <= 0) {
        await askForRenewal(row, credential);
        isAsked = true;
      }
      await memory.untilChanged(Math.min(leftMs, pollMs));
    }
  }

  async function askForRenewal(row: ReadableAccessToken, credential: string): Promise<void> {
    const { id, version, generation } = row;
    const job = refreshJob(id, version, credential, generation);
    // By an id of its own: the scan's job may stand in a line of those that nobody waits for.
    await insertOutboxJobs(options.db, [{ ...job, jobId: jobId('urgent', id, version) }]);
    options.onJobsWritten?.();
  }

  const { forget, forgetAll, doubt } = memory;
  return { read, forget, forgetAll, doubt, close: handOuts.close };
}

/** Whether a load failed by what Postgres said, and not because it said nothing. */
function isAnswer(error: unknown): boolean {
  return error instanceof AppError && error.code !== 'database_unavailable';
}

function isNotFound(error: unknown): boolean {
  return error instanceof AppError && error.code === 'credential_not_found';
}

function outcomeOf(error: unknown): AccessTokenRead {
  if (isNotFound(error)) return 'not_found';
  if (isDatabaseOutage(error)) return 'no_database';
  const isUnavailable = error instanceof AppError && error.code === 'access_token_unavailable';
  return isUnavailable ? 'unavailable' : 'fault';
}

function unavailable(): AppError {
  return new AppError(
    'access_token_unavailable',
    'There is no valid access token at present; its renewal goes on. Try again.',
  );
}

/** The channel that a trigger on `access_token` notifies of each new token. */
const channel = 'token_lifecycle_access_token';

/** A reader that hears of new tokens on a connection of its own, which `close` ends. */
export function openListeningReader(
  options: Omit<AccessTokenReaderOptions, 'isSubscribed'> & {
    readonly databaseUrl: string;
    /** Told of each fault of the listening connection, which is made anew for ever. */
    readonly onFault: (error: unknown) => void;
  },
): AccessTokenReader {
  const reader = createAccessTokenReader({ ...options, isSubscribed: () => listener.isLive() });
  const listener = listenTo({
    url: options.databaseUrl,
    channel,
    onNotification: reader.forget,
    onLive: reader.forgetAll,
    onFault: options.onFault,
  });
  return {
    read: reader.read,
    doubt: reader.doubt,
    async close() {
      await listener.close();
      await reader.close();
    },
  };
}
