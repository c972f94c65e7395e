import { listenTo } from '../../db/listen.ts';
import {
  type AccessTokenReader,
  type AccessTokenReaderOptions,
  createAccessTokenReader,
} from './reader.ts';

/** The channel that a trigger on `access_token` notifies of each new token. */
const channel = 'token_lifecycle_access_token';

/** A reader that hears of new tokens on a connection of its own, which `close` ends. */
export function openListeningReader(
  options: Omit<AccessTokenReaderOptions, 'isHearing'> & {
    readonly databaseUrl: string;
    /** Told of each fault of the listening connection, which is made anew for ever. */
    readonly onFault: (error: unknown) => void;
  },
): AccessTokenReader {
  const reader = createAccessTokenReader({ ...options, isHearing: () => listener.isLive() });
  const listener = listenTo({
    url: options.databaseUrl,
    channel,
    onNotification: reader.forget,
    onLive: reader.forgetAll,
    onFault: options.onFault,
  });
  return {
    read: reader.read,
    doubt: reader.doubt,
    async close() {
      await listener.close();
      await reader.close();
    },
  };
}
