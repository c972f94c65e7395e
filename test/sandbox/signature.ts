import { createHash } from 'node:crypto';
import { sandboxDefaults } from '../../src/sandbox/sandbox.ts';

/** The candidate signature lists, written out so that a fault in the sandbox's lists shows. */
export const signatureLists = {
  Q1: 'account terminal order_reference_id merchant_reference_id quickpay_id quickpay_status',
  Q2: 'account terminal merchant_reference_id order_currency order_amount order_notes card_number order_reference_id quickpay_id quickpay_status code message',
  Q3: 'code message account terminal card_number card_country order_currency order_amount order_methods order_reference_id order_remark merchant_reference_id quickpay_id quickpay_status',
};

/** The signature that a receiver computes over these values. */
export function signatureOf(list: string, values: Record<string, string>): string {
  const text = list
    .split(' ')
    .map((name) => values[name] ?? '')
    .join('');
  const hash = createHash('sha256').update(text + sandboxDefaults.secureCode);
  return hash.digest('hex').toUpperCase();
}
