/** Exit codes of the process, for orchestrators. */
export const exitCodes = {
  /** Ended in order. */
  clean: 0,
  /** A fault: look at the last line it printed. */
  fault: 1,
  /** The configuration is wrong; starting again can't help. */
  badConfiguration: 2,
  /** The shutdown deadline passed with work still running; that work is done again elsewhere. */
  deadlinePassed: 3,
} as const;
