import { AppError } from '../domain/errors.ts';
import { storeFaultCause } from '../domain/store-fault.ts';
import { createFaultLog } from './fault-log.ts';
import type { Logger } from './logger.ts';

/**
 * A logger that names the cause of each fault of PostgreSQL or Redis, such as OOM or 57P03, and
 * logs it once per interval: an unavailable store fails every job, poll and heartbeat. The field
 * `repeated` counts the lines left out since the last one. Other lines pass unchanged.
 */
export function quietStoreFaults(
  logger: Logger,
  options: { readonly intervalMs?: number } = {},
): Logger {
  const log = createFaultLog(logger, options);
  const quiet =
    (level: 'warn' | 'error') =>
    (fields: object, message: string): void => {
      const storeFault = causeOf('error' in fields ? fields.error : undefined);
      if (storeFault === undefined) return logger[level](fields, message);
      const cause = `${storeFault} ${message}`;
      log.fault({ cause, level, fields: { ...fields, storeFault }, message });
    };
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: quiet('warn'),
    error: quiet('error'),
    fatal: (fields, message) => logger.fatal(fields, message),
  };
}

/** Codes of the worker's own errors about a store, for errors without a known cause. */
const storeCodes: ReadonlySet<string> = new Set([
  'config_invalid',
  'database_unavailable',
  'queue_unavailable',
]);

function causeOf(error: unknown): string | undefined {
  const cause = storeFaultCause(error);
  if (cause !== undefined) return cause;
  return error instanceof AppError && storeCodes.has(error.code) ? error.code : undefined;
}
