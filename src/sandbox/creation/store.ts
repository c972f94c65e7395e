import type { AccountTerminal, Creation } from './creation.ts';

/** The key that a merchant looks up creations by. */
export interface CreationKey {
  readonly by: 'order' | 'merchant' | 'quickpay' | 'customer';
  readonly value: string;
}

/** All creations since the start or the last reset, in memory. */
export interface CreationStore {
  /** Oldest first. */
  readonly all: readonly Creation[];
  add(creation: Creation): void;
  findByOrderReference(orderReferenceId: string): Creation | undefined;
  /** The creations of one account and terminal with this key, oldest first. */
  listByKey(account: AccountTerminal, key: CreationKey): readonly Creation[];
}

/** An empty store. */
export function createCreationStore(): CreationStore {
  const all: Creation[] = [];
  const byOrderReference = new Map<string, Creation>();
  const byAccountAndKey = new Map<string, Creation[]>();

  const indexName = ({ account, terminal }: AccountTerminal, { by, value }: CreationKey): string =>
    JSON.stringify([account, terminal, by, value]);

  return {
    all,
    add(creation) {
      all.push(creation);
      byOrderReference.set(creation.orderReferenceId, creation);
      for (const key of keysOf(creation)) {
        const name = indexName(creation, key);
        const list = byAccountAndKey.get(name);
        if (list === undefined) byAccountAndKey.set(name, [creation]);
        else list.push(creation);
      }
    },
    findByOrderReference: (orderReferenceId) => byOrderReference.get(orderReferenceId),
    listByKey: (account, key) => byAccountAndKey.get(indexName(account, key)) ?? [],
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
