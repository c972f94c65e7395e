import { z } from 'zod';
import {
  accessTokenRefreshPayload,
  rawCallbackPayload,
  tokenDisablePayload,
  tokenizationRequestPayload,
} from './job-payloads.ts';
import type { QueueName } from '../queue-names.ts';

/** A job that a backend may add, by queue, by SQL or over HTTP. */
export interface BackendJob {
  readonly queue: QueueName;
  /**
   * The content that a backend sends. The worker's own jobs of the same name carry only an id, or
   * the name of a credential and the generation of its access token.
   */
  readonly payload: z.ZodType;
  /** One sentence for the published schema. */
  readonly purpose: string;
}

/** The jobs that a backend may add. Only the worker adds the others. */
export const backendJobs = {
  'tokenization.request': {
    queue: 'tokenization',
    payload: tokenizationRequestPayload,
    purpose: 'Asks for one QuickPay ID.',
  },
  'token.disable': {
    queue: 'tokenization',
    payload: tokenDisablePayload,
    purpose: 'Cancels a token at the gateway.',
  },
  'callback.verify': {
    queue: 'callback-verification',
    payload: rawCallbackPayload,
    purpose: 'Verifies a browser redirect that the backend received itself.',
  },
  'notify.handle': {
    queue: 'notify',
    payload: rawCallbackPayload,
    purpose: 'Verifies a push of the gateway that the backend received itself.',
  },
  'access-token.refresh': {
    queue: 'access-token',
    payload: accessTokenRefreshPayload,
    purpose: 'Renews one OPCard access token.',
  },
} as const satisfies Readonly<Record<string, BackendJob>>;

/** The name of a job that a backend may add. */
export type BackendJobName = keyof typeof backendJobs;

/** Whether a text names a job that a backend may add. */
export function isBackendJobName(text: string): text is BackendJobName {
  return Object.hasOwn(backendJobs, text);
}

/**
 * The published JSON Schema (draft 2020-12) of a job's payload, over every accepted version.
 * `schemas/<job>.json` holds it; a test checks that the file is current.
 */
export function payloadJsonSchema(name: BackendJobName): Readonly<Record<string, unknown>> {
  const { queue, payload, purpose }: BackendJob = backendJobs[name];
  const { $schema, ...form } = z.toJSONSchema(payload, { target: 'draft-2020-12', io: 'input' });
  return {
    $schema,
    title: name,
    description: `${purpose} Payload of the BullMQ job ${name} on the queue ${queue}.`,
    ...form,
  };
}
