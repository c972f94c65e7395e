/** Exit codes of the process, for orchestrators. */
export const exitCodes = {
  /** The graceful shutdown was complete. */
  clean: 0,
  /** The process failed; its last output line says why. */
  fault: 1,
  /** The configuration is wrong, so a restart does not help. */
  badConfiguration: 2,
  /** The shutdown deadline passed while jobs were running; another worker runs those jobs again. */
  deadlinePassed: 3,
} as const;
