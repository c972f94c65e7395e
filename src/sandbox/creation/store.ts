import type { Creation } from './creation.ts';

/** Which creation a query asks for, and under which account. */
export interface CreationKey {
  readonly by: 'order' | 'merchant' | 'quickpay' | 'customer';
  readonly value: string;
}

/** All creations of a run, in memory. */
export interface CreationLedger {
  readonly all: readonly Creation[];
  add(creation: Creation): void;
  hasOrderReference(orderReferenceId: string): boolean;
  findByOrderReference(orderReferenceId: string): Creation | undefined;
  /** The creations of one account and terminal with this key, oldest first. */
  listBy(account: string, terminal: string, key: CreationKey): readonly Creation[];
}

/** A new, empty ledger. */
export function createLedger(): CreationLedger {
  const all: Creation[] = [];
  const byOrder = new Map<string, Creation>();
  const byKey = new Map<string, Creation[]>();

  const indexName = (account: string, terminal: string, key: CreationKey): string =>
    JSON.stringify([account, terminal, key.by, key.value]);

  return {
    all,
    add(creation) {
      all.push(creation);
      byOrder.set(creation.orderReferenceId, creation);
      for (const key of keysOf(creation)) {
        const name = indexName(creation.account, creation.terminal, key);
        const list = byKey.get(name);
        if (list === undefined) byKey.set(name, [creation]);
        else list.push(creation);
      }
    },
    hasOrderReference: (orderReferenceId) => byOrder.has(orderReferenceId),
    findByOrderReference: (orderReferenceId) => byOrder.get(orderReferenceId),
    listBy: (account, terminal, key) => byKey.get(indexName(account, terminal, key)) ?? [],
  };
}

function keysOf(creation: Creation): CreationKey[] {
  return [
    { by: 'order', value: creation.orderReferenceId },
    { by: 'merchant', value: creation.merchantReferenceId },
    { by: 'quickpay', value: creation.quickpayId },
    { by: 'customer', value: creation.customerId },
  ];
}
