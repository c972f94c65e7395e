import type { RefusalScope } from '../domain/refusals.ts';

/** HTTP statuses that are about the caller or the address of the call, not about its content. */
const accountStatuses: ReadonlySet<number> = new Set([401, 403, 404, 405, 407]);

/** Documented codes for a wrong or blocked account, terminal, secure code or environment. */
const accountCode = /^200(?:0[1-9]|1[0-6])$/;

/**
 * Documented codes about one customer's payment method: the risk control, card data, and the
 * answers of card issuers.
 */
const customerCode = /^(?:10000|200(?:2[6-9]|3\d|4[0-3])|20171|80\d{3})$/;

/** What a refusal is about. The vendor may add codes, so an unknown one is unclear. */
export function refusalScopeOf(code: string, httpStatus: number): RefusalScope {
  if (accountStatuses.has(httpStatus) || accountCode.test(code)) return 'account';
  return customerCode.test(code) ? 'customer' : 'unclear';
}
