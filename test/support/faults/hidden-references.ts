import type { GatewayClient } from '../../../src/gateway/client.ts';

/** Wraps a gateway so that it does not know the merchant references in `hidden`. */
export function hideReferences(
  hidden: ReadonlySet<string>,
): (gateway: GatewayClient) => GatewayClient {
  return (gateway) => ({
    ...gateway,
    queryQuickPay: async (account, lookup, call) =>
      lookup.by === 'merchantReferenceId' && hidden.has(lookup.value)
        ? { kind: 'none', gatewayCode: '0404' }
        : await gateway.queryQuickPay(account, lookup, call),
  });
}
