import { z } from 'zod';
import { findNamedTokenization, type NamedTokenizationRow } from '../../db/tokenization-pages.ts';
import type { TokenizationView } from '../../domain/payload/api-shapes.ts';
import { AppError } from '../../domain/errors.ts';
import { reviewReasons } from '../../domain/evidence.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { sealedPlace } from '../../db/sealed-place.ts';

type ViewDependencies = Pick<BackendDependencies, 'db' | 'keyring'>;

/** Reads the tokenization with this id as the API shows it. Throws `tokenization_not_found`. */
export async function getTokenizationView(
  dependencies: ViewDependencies,
  id: string,
): Promise<TokenizationView> {
  const row = await findNamedTokenization(dependencies.db, id);
  if (row === undefined) {
    throw new AppError('tokenization_not_found', 'There is no such tokenization.');
  }
  return viewOf(row, dependencies);
}

/**
 * What the API shows of a row: its clear columns, and the customer's id alone of its sealed
 * request.
 */
export function viewOf(
  row: NamedTokenizationRow,
  dependencies: ViewDependencies,
): TokenizationView {
  return {
    id: row.id,
    state: row.state,
    version: row.version,
    review: reviewReasons.find((reason) => reason === row.review) ?? null,
    merchantReferenceId: row.merchant_reference_id,
    orderReferenceId: row.order_reference_id,
    redirectUrl: row.redirect_url,
    credential: row.credential_name,
    methods: row.methods,
    customerId: customerIdOf(row, dependencies),
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    expiresAt: row.expires_at?.toISOString() ?? null,
  };
}

const sealedRequest = z.object({ customer: z.object({ id: z.string() }) });

/**
 * Null when the row cannot be opened: a missing key or damage must not fail a page of other rows.
 */
function customerIdOf(row: NamedTokenizationRow, { keyring }: ViewDependencies): string | null {
  try {
    const opened = keyring
      .open(sealedPlace('tokenization', 'request_sealed', row.id), row.request_sealed)
      .reveal();
    return sealedRequest.parse(JSON.parse(opened)).customer.id;
  } catch {
    return null;
  }
}
