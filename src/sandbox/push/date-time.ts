import type { Creation } from '../creation/creation.ts';

/** The gateway's documents name no zone; its operator sits in China and Hong Kong, eight hours ahead of UTC. */
const zoneOffsetMs = 8 * 3_600_000;

/**
 * The `push_dateTime` of the next attempt, to the second. Attempts within one second would look alike, and a receiver
 * must not be able to count on that, so each one of a creation gets a second of its own.
 */
export function pushDateTime(creation: Creation, nowMs: number): string {
  const second = Math.max(Math.floor(nowMs / 1_000), creation.lastPushSecond + 1);
  creation.lastPushSecond = second;
  const local = new Date(second * 1_000 + zoneOffsetMs).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 19)}`;
}
