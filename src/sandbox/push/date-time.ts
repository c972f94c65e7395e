import type { Creation } from '../creation/creation.ts';

/** Oceanpayment documents no time zone. It works from China and Hong Kong, which are at UTC+8. */
const zoneOffsetMs = 8 * 3_600_000;

/**
 * The `push_dateTime` of the next attempt, in whole seconds. Each attempt for a creation gets a
 * second of its own, so that a receiver cannot recognise a repeated push by an equal time.
 */
export function nextPushDateTime(creation: Creation, nowMs: number): string {
  const second = Math.max(Math.floor(nowMs / 1_000), creation.lastPushSecond + 1);
  creation.lastPushSecond = second;
  const local = new Date(second * 1_000 + zoneOffsetMs).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 19)}`;
}
