import { isBaseUrl } from './base-url.ts';
import type { Channel } from './callback.ts';

/** What the path of a callback URL names. */
export interface CallbackTarget {
  readonly channel: Channel;
  /** The address in a per-request URL. */
  readonly address: string | undefined;
}

const callbackPath =
  /^(?:https?:\/\/[^/]*)?.*?\/callbacks\/+(notify|redirect)(?![\w-])\/*([\w-]{22})?/i;

/**
 * What a callback URL names; undefined for any other URL. The first callback route in the path
 * counts, in any case. A proxy may keep the path of `CALLBACK_PUBLIC_URL` in front of it. Gateways,
 * proxies and browsers append to a URL, and encode what needs no encoding.
 */
export function callbackTargetOf(url: string): CallbackTarget | undefined {
  const [path = ''] = url.split('?', 1);
  const decoded = path.replaceAll(/%([2-7][\da-f])/gi, (_text, hex: string) =>
    String.fromCodePoint(Number.parseInt(hex, 16)),
  );
  const [, channel, address] = callbackPath.exec(decoded) ?? [];
  if (channel === undefined) return undefined;
  return { channel: channel.toLowerCase() === 'notify' ? 'notify' : 'redirect', address };
}

/** The URL whose route handles a callback URL. Any other URL stays as it is. */
export function routedUrl(url: string): string {
  const target = callbackTargetOf(url);
  if (target === undefined) return url;
  const border = url.indexOf('?');
  const address = target.address === undefined ? '' : `/${target.address}`;
  return `/callbacks/${target.channel}${address}${border === -1 ? '' : url.slice(border)}`;
}

/**
 * Whether callback URLs can be built from a base: a route is appended to it, so it must not hold a
 * callback route itself.
 */
export function isCallbackBase(text: string): boolean {
  return isBaseUrl(text) && callbackTargetOf(new URL(text).pathname) === undefined;
}
