import { upText } from './child-process.ts';

/** What a contestant's worker process is told. */
export interface WorkerInput {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** The prefix of its keys in Redis. */
  readonly prefix: string;
  readonly gatewayUrl: string;
  readonly concurrency: number;
}

/** The environment of a worker process that is told this. */
export function workerEnv(input: WorkerInput): Readonly<Record<string, string>> {
  return { BENCH_WORKER_INPUT: JSON.stringify(input) };
}

/** What this worker process was told. */
export function readWorkerInput(): WorkerInput {
  return JSON.parse(process.env['BENCH_WORKER_INPUT'] ?? '{}') as WorkerInput;
}

/** Tells the parent process that jobs are taken from now on. */
export function sayUp(fields: object = {}): void {
  console.log(JSON.stringify({ msg: upText, ...fields }));
}

/** The queue of the contestants' jobs. */
export const queueName = 'tokenization';
