import { TokenClientError } from '../../../src/client/client-error.ts';

/** The error that a call of a client ends with. */
export async function faultOf(call: Promise<unknown>): Promise<TokenClientError> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof TokenClientError) return error;
  throw new Error('the call did not end with a TokenClientError', { cause: error });
}
