import type { AccessTokenView } from './answers.ts';
import { TokenClientError } from './client-error.ts';

/** Access tokens in memory, by credential. */
export interface AccessTokenCache {
  /**
   * The token that is in memory and valid for a while yet, at once: one that is no longer young is asked for anew behind the caller's back.
   * Otherwise what `load` gives, asked for once however many want it; where that fails, a token that is valid to its end yet, unless there is
   * no such credential any more.
   */
  readonly get: (credential: string) => Promise<AccessTokenView>;
  /** Forgets this generation and whatever came before it, also where it is still on its way. */
  readonly forget: (credential: string, generation: number) => void;
}

interface Kept {
  readonly token: AccessTokenView;
  /** On the clock of this process, which no time server moves. */
  readonly endsAt: number;
  /** When it is to be asked for anew. */
  readonly askAgainAt: number;
}

/** The latest generation that was reported; each report is an object of its own. */
interface Report {
  readonly generation: number;
}

/** At this age a token is asked for anew, and as often while that fails, so that one that was replaced or withdrawn is given to nobody for long. */
const youngMs = 10_000;
/** The same of one that was reported and that the worker still gives: its renewal is under way. */
const reportedMs = 1_000;

/** How long before its end a token is taken from memory only where none is to be had from the worker: a call that uses it has to reach the gateway. */
const marginMs = 10_000;

/** Creates the memory of one client. `now` is a clock in milliseconds that only goes forward. */
export function createAccessTokenCache(
  load: (credential: string) => Promise<AccessTokenView>,
  now: () => number = () => performance.now(),
): AccessTokenCache {
  const kept = new Map<string, Kept>();
  const loading = new Map<string, Promise<AccessTokenView>>();
  const reports = new Map<string, Report>();

  async function loadAndKeep(credential: string): Promise<AccessTokenView> {
    const askedAt = now();
    const reportBefore = reports.get(credential);
    const token = await load(credential).catch((error: unknown) => {
      if (isGone(error)) kept.delete(credential);
      throw error;
    });
    const report = reports.get(credential);
    const isReported = report !== undefined && token.generation <= report.generation;
    // An answer to a question from before the report; and one that is slower than a newer one, where only what is valid counts.
    const isLate = isReported && report !== reportBefore;
    const isOlder = token.generation < (findValid(credential)?.token.generation ?? 0);
    if (!isLate && !isOlder) {
      // Counted from before the request: the answer may have been long on its way.
      const endsAt = askedAt + token.secondsLeft * 1_000;
      kept.set(credential, { token, endsAt, askAgainAt: askedAt + waitMs(isReported) });
    }
    return token;
  }

  async function loadOnce(credential: string): Promise<AccessTokenView> {
    const underWay = loading.get(credential);
    if (underWay !== undefined) return await underWay;
    const started = loadAndKeep(credential).finally(() => {
      // After a report another one may be under way in its place.
      if (loading.get(credential) === started) loading.delete(credential);
    });
    loading.set(credential, started);
    return await started;
  }

  /** What is kept and valid for `ms` yet. */
  function findValid(credential: string, ms = 0): Kept | undefined {
    const known = kept.get(credential);
    return known !== undefined && now() < known.endsAt - ms ? known : undefined;
  }

  async function loadOrKept(credential: string): Promise<AccessTokenView> {
    try {
      return await loadOnce(credential);
    } catch (error) {
      // Looked for only now: it may have ended meanwhile, or have been reported, or be gone.
      const known = findValid(credential);
      if (known === undefined) throw error;
      return view(known);
    }
  }

  function view({ token, endsAt }: Kept): AccessTokenView {
    return { ...token, secondsLeft: Math.floor((endsAt - now()) / 1_000) };
  }

  return {
    async get(credential) {
      const known = findValid(credential, marginMs);
      if (known === undefined) return await loadOrKept(credential);
      if (now() >= known.askAgainAt) {
        const report = reports.get(credential);
        const isReported = report !== undefined && known.token.generation <= report.generation;
        kept.set(credential, { ...known, askAgainAt: now() + waitMs(isReported) });
        // Whatever is wrong with the way to the worker, a valid token is a valid token.
        loadOnce(credential).catch(() => undefined);
      }
      return view(known);
    },
    forget(credential, generation) {
      const reported = Math.max(generation, reports.get(credential)?.generation ?? 0);
      reports.set(credential, { generation: reported });
      const known = kept.get(credential);
      if (known !== undefined && known.token.generation <= generation) kept.delete(credential);
      // Who asks from now on must not get the answer to a question that was asked before the report.
      loading.delete(credential);
    },
  };
}

function waitMs(isReported: boolean): number {
  return isReported ? reportedMs : youngMs;
}

/** Whether the worker says that it has no such credential, any more. */
function isGone(error: unknown): boolean {
  return error instanceof TokenClientError && error.code === 'credential_not_found';
}
