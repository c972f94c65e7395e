/**
 * Whether each combination of protocol rules and faults is played both with a token that expires
 * meanwhile and with one that does not. The suite plays one of the two; PROTOCOL_MATRIX=full plays
 * both, in twice the time.
 */
export const isFullMatrix = process.env['PROTOCOL_MATRIX'] === 'full';
