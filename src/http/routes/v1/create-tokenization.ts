import { tokenizationRequestBody, tokenizationView } from '../../../domain/payload/api-shapes.ts';
import { AppError } from '../../../domain/errors.ts';
import { acceptTokenization } from '../../../tokenization/request/accept.ts';
import { apiRoute } from '../../api/api-route.ts';
import { getTokenizationView } from '../../../tokenization/read/view.ts';

/**
 * `POST /v1/tokenizations`: requests a QuickPay ID. A repeated request gets the same tokenization.
 */
export const createTokenization = apiRoute({
  operationId: 'createTokenization',
  method: 'POST',
  path: '/tokenizations',
  scope: 'enqueue',
  tag: 'tokenizations',
  summary: 'Request a QuickPay ID',
  description:
    'The worker seals and stores the request before it answers. The merchant reference is the idempotency key: the same reference with the same body gives the same tokenization and one call to the gateway; with another body it is a conflict.',
  body: tokenizationRequestBody,
  headers: [
    {
      name: 'idempotency-key',
      description: 'Optional; if sent, it must equal `merchant.referenceId`',
    },
  ],
  status: 202,
  answer: tokenizationView,
  problems: [
    'reference_conflict',
    'credential_not_found',
    'return_url_not_allowed',
    'idempotency_key_mismatch',
  ],
  async handle({ body, header, setHeader, audit }, dependencies) {
    assertSameKey(header('idempotency-key'), body.merchant.referenceId);
    const { tokenization, isNew } = await acceptTokenization(dependencies, body, { audit });
    setHeader('location', `/v1/tokenizations/${tokenization.id}`);
    setHeader('idempotency-replayed', String(!isNew));
    return await getTokenizationView(dependencies, tokenization.id);
  },
});

/** The header may hold the key plain, or quoted as the draft standard writes it. */
function assertSameKey(key: string | undefined, referenceId: string): void {
  if (key === undefined || key === referenceId || key === `"${referenceId}"`) return;
  throw new AppError(
    'idempotency_key_mismatch',
    'Idempotency-Key must equal merchant.referenceId; correct it or leave it out.',
    { paths: ['idempotency-key', 'merchant.referenceId'] },
  );
}
