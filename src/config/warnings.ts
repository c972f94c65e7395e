import { isStatusBorderClear } from '../domain/status-words.ts';
import { isPublicAddress } from '../security/addresses.ts';
import type { Config } from './config.ts';

const localNames = /^(?:localhost|.*\.(?:local|localhost|internal|test|example|invalid))$/;

/**
 * What the configuration allows although it probably does not work, as `NAME: what to change`. The
 * worker starts anyway, since it can't know what stands between it and the gateway.
 */
export function configWarnings({ gateway, jobs }: Config): readonly string[] {
  const warnings: string[] = [];
  if (jobs.callbackPublicUrl !== undefined && isOceanpayment(gateway.checkoutUrl)) {
    warnings.push(...addressWarnings(new URL(jobs.callbackPublicUrl)));
  }
  if (jobs.signatures.notify.mode === 'verify' && !isStatusBorderClear(jobs.statusMap)) {
    warnings.push(
      'GATEWAY_STATUS_MAP: one word ends in another, so no signature proves a message; the worker queries the gateway about each',
    );
  }
  return warnings;
}

function isOceanpayment(checkoutUrl: string): boolean {
  return new URL(checkoutUrl).hostname.endsWith('.oceanpayment.com');
}

function addressWarnings({ protocol, port, hostname }: URL): readonly string[] {
  const warnings: string[] = [];
  if (port !== '') {
    warnings.push('CALLBACK_PUBLIC_URL: use port 80 or 443; the gateway pushes to no other port');
  }
  if (isUnreachable(hostname)) {
    warnings.push('CALLBACK_PUBLIC_URL: name a public host; the gateway cannot reach this one');
  } else if (protocol === 'http:') {
    warnings.push('CALLBACK_PUBLIC_URL: use https; QuickPay IDs travel in these messages');
  }
  return warnings;
}

function isUnreachable(hostname: string): boolean {
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  const isAddress = /^[\d.]+$/.test(address) || address.includes(':');
  return isAddress ? !isPublicAddress(address) : localNames.test(hostname);
}
