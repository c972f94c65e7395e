/** So many reads of one access token that the audit trail does not hold. */
export interface UnwrittenHandOut {
  /** The id of the token's row, as audit rows name it. */
  readonly rowId: string;
  readonly generation: number;
  /** The name of the client that read it. */
  readonly backend: string;
  readonly reads: number;
}

/**
 * What `onFault` is told of access tokens whose hand-outs could not be written down: with these it can still be told who got which
 * generation. Its `cause` is why.
 */
export class UnwrittenHandOutsError extends Error {
  override readonly name = 'UnwrittenHandOutsError';
  readonly handOuts: readonly UnwrittenHandOut[];
  /** Whether they never will be written, since the client was closed; otherwise they are tried again within a minute. */
  readonly isLost: boolean;

  constructor(handOuts: readonly UnwrittenHandOut[], isLost: boolean, cause: unknown) {
    super(`Hand-outs are not in the audit trail${isLost ? '' : ' yet'}.`, { cause });
    this.handOuts = handOuts;
    this.isLost = isLost;
  }
}
