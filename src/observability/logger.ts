import { pino } from 'pino';
import { AppError } from '../domain/errors.ts';

/** The worker's logger: fields first, then a constant message. */
export interface Logger {
  readonly debug: (fields: object, message: string) => void;
  readonly info: (fields: object, message: string) => void;
  readonly warn: (fields: object, message: string) => void;
  readonly error: (fields: object, message: string) => void;
  readonly fatal: (fields: object, message: string) => void;
}

/** The level and the destination of a logger. */
export interface LoggerOptions {
  readonly level: string;
  /** Default: standard output. */
  readonly destination?: { readonly write: (line: string) => void };
}

/** Fields that are redacted, in addition to the type `Secret`, which never prints its value. */
const forbiddenKeys = [
  'secureCode',
  'securecode',
  'secure_code',
  'authorization',
  'appSecret',
  'app_secret',
  'accessToken',
  'access_token',
  'refreshToken',
  'refresh_token',
  'quickpayId',
  'quickpay_id',
  'privateKey',
  'password',
  'billing',
  'body',
];

/** Creates the process's logger. */
export function createLogger({ level, destination }: LoggerOptions): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: forbiddenKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
      censor: '[secret]',
    },
    // Pino's own serializer would log the message of an error.
    serializers: {
      error: (error: unknown) => serializeError(error),
      err: (error: unknown) => serializeError(error),
    },
    errorKey: 'error',
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

const causesMax = 3;
const framesMax = 8;

/**
 * The loggable part of an error. An `AppError` is safe to print. The message of any other error may
 * hold a row or a URL with a password, so only its class, code and stack frames are kept.
 */
export function serializeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { name: typeof error };
  const cause =
    error.cause === undefined || depth >= causesMax
      ? {}
      : { cause: serializeError(error.cause, depth + 1) };
  if (error instanceof AppError) {
    const { name, code, message, paths } = error;
    return { name, code, message, paths, ...cause };
  }
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  return { name: error.constructor.name, ...code, frames: framesOf(error), ...cause };
}

/** The stack begins with the message, one of whose lines may look like a frame. */
function framesOf({ stack = '', message }: Error): readonly string[] {
  const from = stack.indexOf(message);
  return (from === -1 ? stack : stack.slice(from + message.length))
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, framesMax)
    .map((line) => line.trim());
}
