/** Variations for commands that need less than a worker does. */
export interface LoadOptions {
  /** The demo and `migrate` seal nothing that has to be opened later, so they can do without `ENCRYPTION_KEYS`. */
  readonly isKeyless?: boolean;
}
