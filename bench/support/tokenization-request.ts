import { sandboxDefaults } from '../../src/sandbox/sandbox.ts';

/** The payload of one job, the same for each contestant. */
export type BenchRequest = ReturnType<typeof requestOf>;

/** A request for a QuickPay ID under this merchant reference. */
export function requestOf(referenceId: string) {
  return {
    v: 1,
    order: { currency: 'EUR', amount: '9.90', methods: 'Klarna' },
    merchant: { referenceId },
    billing: { firstname: 'Ada', lastname: 'Lovelace', email: 'ada@example.com', country: 'DE' },
    customer: { id: 'bench' },
  };
}

/** The account that each contestant names to the gateway. */
export const { account, terminal, secureCode } = sandboxDefaults;
