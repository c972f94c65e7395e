/** One's turn at a host. It holds one of the host's places until `end`. */
export interface Turn {
  readonly kind: 'turn';
  readonly end: () => void;
}

/** No turn soon: to be asked for again in so many milliseconds, or, at `Infinity`, when others have gone. */
export interface Later {
  readonly kind: 'later';
  readonly inMs: number;
}

/** How much one process asks of its hosts. */
export interface TurnLimits {
  /** Turns that begin at one host in any second. */
  readonly perSecondMax: number;
  /** Turns that are waited for or taken at one host at once. */
  readonly atOnceMax: number;
  /** The same at all hosts together. */
  readonly atOnceInAllMax: number;
  /** How far ahead, in milliseconds, those are told to come back who find no turn. */
  readonly lineMsMax: number;
}

/** Who asks for a turn. */
export interface TurnRequest {
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined;
  /** Somebody waits for what is to be asked for: of two places or more one is kept for such calls, and they have a line of their own. */
  readonly isUrgent?: boolean | undefined;
}

/** Waits for a turn at the host of an address; never for long. */
export type TakeTurn = (url: string, request?: TurnRequest) => Promise<Turn | Later>;

/** A turn that begins later than this is not waited for, in milliseconds: who waits holds up others. */
const waitMsMax = { urgent: 4_000, other: 2_000 };
/** Who comes back comes back a little early, so that the host is never idle for want of a job. */
const earlyMs = 1_000;

interface Host {
  taken: number;
  /** When the next turn may begin. */
  nextAtMs: number;
  /** When whoever was told last comes back. */
  readonly lineAtMs: { urgent: number; other: number };
}

/**
 * Deals out turns at hosts, evenly spaced by the process's own clock, which no time server moves. Who would have to wait for long is told
 * when to come back instead, one after the other at the same pace; so a host that hangs keeps its own places and nobody
 * else's, and those who come for it in vain are never more than it could serve.
 */
export function createTurns(limits: TurnLimits): TakeTurn {
  const { perSecondMax, atOnceMax, atOnceInAllMax, lineMsMax } = limits;
  const everyMs = 1_000 / perSecondMax;
  const hosts = new Map<string, Host>();
  let takenInAll = 0;

  return async (url, { signal, isUrgent = false } = {}) => {
    const host = hostOf(hosts, url);
    const need = isUrgent ? 'urgent' : 'other';
    const now = performance.now();
    const beginsAtMs = Math.max(now, host.nextAtMs);
    const places = isUrgent ? atOnceMax : Math.max(1, atOnceMax - 1);
    const isFull = host.taken >= places || takenInAll >= atOnceInAllMax;
    if (isFull || beginsAtMs - now > waitMsMax[need]) {
      const comesAtMs = Math.max(beginsAtMs, host.lineAtMs[need]) + everyMs;
      if (comesAtMs - now > lineMsMax) return { kind: 'later', inMs: Infinity };
      host.lineAtMs[need] = comesAtMs;
      return { kind: 'later', inMs: Math.max(everyMs, comesAtMs - now - earlyMs) };
    }
    host.nextAtMs = beginsAtMs + everyMs;
    host.taken += 1;
    takenInAll += 1;
    await pause(beginsAtMs - now, signal);
    return {
      kind: 'turn',
      end() {
        host.taken -= 1;
        takenInAll -= 1;
      },
    };
  };
}

function hostOf(hosts: Map<string, Host>, url: string): Host {
  const { host: name } = new URL(url);
  const host = hosts.get(name) ?? { taken: 0, nextAtMs: 0, lineAtMs: { urgent: 0, other: 0 } };
  hosts.set(name, host);
  return host;
}

/** Waits, or until there is no reason to any more. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (ms <= 0 || signal?.aborted === true) return;
  await new Promise<void>((resolve) => {
    const stop = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      resolve();
    };
    const timer = setTimeout(stop, ms);
    signal?.addEventListener('abort', stop);
  });
}
