import type { Config } from './config/config.ts';
import type { JobSettings } from './jobs/job-dependencies.ts';

/** An access token is leased for three times as long as its call may take. */
const leasePerCall = 3;
/** Three quarters of the access-token jobs may be at one host: one that hangs leaves the others the rest. */
const shareOfOneHost = 0.75;
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
  queue,
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
      callsAtOnceMax: Math.max(1, Math.floor(queue.concurrency['access-token'] * shareOfOneHost)),
    },
    scanIntervalMs: lifecycle.scanIntervalMs,
  };
}
