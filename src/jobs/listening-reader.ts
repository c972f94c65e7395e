import { listenTo } from '../db/listen.ts';
import {
  type AccessTokenReader,
  type AccessTokenReaderOptions,
  createAccessTokenReader,
} from './read-access-token.ts';

/** The channel that a trigger on `access_token` notifies of each new token. */
const channel = 'token_lifecycle_access_token';

/** A reader that hears of new tokens on a connection of its own, which `close` ends. */
export function openListeningReader(
  options: Omit<AccessTokenReaderOptions, 'isHearing'> & {
    readonly databaseUrl: string;
    readonly onConnectionError?: (error: Error) => void;
  },
): AccessTokenReader {
  const reader = createAccessTokenReader({ ...options, isHearing: () => listener.isLive() });
  const listener = listenTo({
    url: options.databaseUrl,
    channel,
    onNotification: reader.forget,
    onLive: reader.forgetAll,
    ...(options.onConnectionError && { onConnectionError: options.onConnectionError }),
  });
  return {
    read: reader.read,
    async close() {
      await listener.close();
      await reader.close();
    },
  };
}
