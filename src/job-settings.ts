import type { Config } from './config/config.ts';
import type { JobSettings } from './execution/dependencies.ts';

/** An access token is leased for three times as long as its call may take. */
const leasePerCall = 3;
/** Three quarters of them may be at one host: one that hangs leaves the others the rest. */
const shareOfOneHost = 0.75;
/** Scan intervals for which a process keeps jobs that found no turn; the scan brings the others again. */
const intervalsInLine = 2;
/** How long an intent may stand without a result: longer than the slowest job that writes one. */
const leaseMs = 30_000;
/** The protocol notes ask for two "none" answers at least this far apart before a request counts as lost. */
const noneSpacingMs = 60_000;

/** What the jobs have to know of the configuration. */
export function jobSettings({
  lifecycle,
  accessToken,
  signatures,
  webhookSchedule,
  gateway,
}: Config): JobSettings {
  return {
    awaitingCustomerDeadlineMs: lifecycle.awaitingCustomerDeadlineMs,
    reconcileScheduleMs: lifecycle.reconcileScheduleMs,
    leaseMs,
    noneSpacingMs,
    resubmitPolicy: lifecycle.resubmitPolicy,
    resubmissionsMax: lifecycle.resubmissionsMax,
    confirmPolicy: lifecycle.confirmPolicy,
    orphanMaxAgeMs: lifecycle.orphanMaxAgeMs,
    refusedCallbackMaxAgeMs: lifecycle.refusedCallbackMaxAgeMs,
    unbelievedCallbackMaxAgeMs: lifecycle.unbelievedCallbackMaxAgeMs,
    webhookScheduleMs: webhookSchedule.attemptsMs,
    webhookDisableAfterMs: webhookSchedule.disableAfterMs,
    webhookHoldMaxAgeMs: webhookSchedule.holdMaxAgeMs,
    returnUrlHosts: lifecycle.returnUrlHosts,
    callbackPublicUrl: lifecycle.callbackPublicUrl,
    expiryZone: lifecycle.expiryZone,
    signatures: { redirect: signatures.redirect, notify: signatures.notify },
    accessToken: {
      ...accessToken,
      leaseMs: leasePerCall * gateway.timeoutMs,
      callsPerSecondMax: gateway.oauthCallsPerSecondMax,
    },
    scanIntervalMs: lifecycle.scanIntervalMs,
  };
}

/** How many access-token jobs may be at the gateway's hosts; one is kept free for the scan, where there is more than one. */
export function oauthLimits({ queue, lifecycle }: Pick<Config, 'queue' | 'lifecycle'>) {
  const atOnceInAllMax = Math.max(1, queue.concurrency['access-token'] - 1);
  return {
    atOnceMax: Math.max(1, Math.floor(atOnceInAllMax * shareOfOneHost)),
    atOnceInAllMax,
    lineMsMax: intervalsInLine * lifecycle.scanIntervalMs,
  };
}
