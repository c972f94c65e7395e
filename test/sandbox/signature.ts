import { createHash } from 'node:crypto';
import { sandboxDefaults } from '../../src/sandbox/sandbox.ts';

/** The candidate lists written out, independent of the lists that the sandbox signs with. */
export const signatureLists = {
  Q1: 'account terminal order_reference_id merchant_reference_id quickpay_id quickpay_status',
  Q2: 'account terminal merchant_reference_id order_currency order_amount order_notes card_number order_reference_id quickpay_id quickpay_status code message',
  Q3: 'code message account terminal card_number card_country order_currency order_amount order_methods order_reference_id order_remark merchant_reference_id quickpay_id quickpay_status',
};

/** The signature a receiver expects for these values. */
export function signatureOf(list: string, values: Record<string, string>): string {
  const text = list
    .split(' ')
    .map((name) => values[name] ?? '')
    .join('');
  const hash = createHash('sha256').update(text + sandboxDefaults.secureCode);
  return hash.digest('hex').toUpperCase();
}
