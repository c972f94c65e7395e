/** The names of the worker's queues. */
export const queueNames = [
  'tokenization',
  'callback-verification',
  'notify',
  'access-token',
  'reconciliation',
  'delivery',
  'maintenance',
] as const;

/** The name of a queue. */
export type QueueName = (typeof queueNames)[number];

/** Whether a text names a queue. */
export function isQueueName(text: string): text is QueueName {
  return (queueNames as readonly string[]).includes(text);
}
