import type { AccessTokenView } from './answers.ts';

/** Access tokens in memory, by credential. */
export interface AccessTokenCache {
  /** The token that is in memory and valid for a while yet; otherwise what `load` gives, asked for once however many want it. */
  readonly get: (credential: string) => Promise<AccessTokenView>;
  /** Forgets this generation and whatever came before it, also where it is still on its way. */
  readonly forget: (credential: string, generation: number) => void;
}

interface Kept {
  readonly token: AccessTokenView;
  /** On the clock of this process, which no time server moves. */
  readonly until: number;
}

/** How long before its end a token is no longer taken from memory: a call that uses it has to reach the gateway. */
const marginMs = 10_000;

/** Creates the memory of one client. `now` is a clock in milliseconds that only goes forward. */
export function createAccessTokenCache(
  load: (credential: string) => Promise<AccessTokenView>,
  now: () => number = () => performance.now(),
): AccessTokenCache {
  const kept = new Map<string, Kept>();
  const loading = new Map<string, Promise<AccessTokenView>>();
  const refused = new Map<string, number>();

  async function loadAndKeep(credential: string): Promise<AccessTokenView> {
    const askedAt = now();
    const token = await load(credential);
    const isRefused = token.generation <= (refused.get(credential) ?? -1);
    const isOlder = token.generation < (kept.get(credential)?.token.generation ?? 0);
    if (!isRefused && !isOlder) {
      // Counted from before the request: the answer may have been long on its way.
      kept.set(credential, { token, until: askedAt + token.secondsLeft * 1_000 - marginMs });
    }
    return token;
  }

  return {
    async get(credential) {
      const known = kept.get(credential);
      if (known !== undefined && now() < known.until) {
        const secondsLeft = Math.floor((known.until + marginMs - now()) / 1_000);
        return { ...known.token, secondsLeft };
      }
      const underWay = loading.get(credential);
      if (underWay !== undefined) return await underWay;
      const started = loadAndKeep(credential).finally(() => {
        // After a report another one may be under way in its place.
        if (loading.get(credential) === started) loading.delete(credential);
      });
      loading.set(credential, started);
      return await started;
    },
    forget(credential, generation) {
      refused.set(credential, Math.max(generation, refused.get(credential) ?? -1));
      if ((kept.get(credential)?.token.generation ?? -1) <= generation) kept.delete(credential);
      // Who asks from now on must not get the answer to a question that was asked before the report.
      loading.delete(credential);
    },
  };
}
