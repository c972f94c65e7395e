/** Reads of one generation of an access token that are not in the read audit. */
export interface UnrecordedReads {
  /** The id of the token's row, as audit rows name it. */
  readonly accessTokenId: string;
  readonly credential: string;
  readonly generation: number;
  /** The name of the client that read it. */
  readonly backend: string;
  readonly reads: number;
}

/** Reads of access tokens that could not be recorded. `onFault` gets it; its `cause` says why. */
export class UnrecordedReadsError extends Error {
  override readonly name = 'UnrecordedReadsError';
  readonly unrecorded: readonly UnrecordedReads[];
  /**
   * Whether the reads are lost. Otherwise the client retries each second and reports the outage
   * once.
   */
  readonly isLost: boolean;

  constructor(unrecorded: readonly UnrecordedReads[], isLost: boolean, cause: unknown) {
    super(`Reads of access tokens are not recorded${isLost ? '' : ' yet'}.`, { cause });
    this.unrecorded = unrecorded;
    this.isLost = isLost;
  }
}
