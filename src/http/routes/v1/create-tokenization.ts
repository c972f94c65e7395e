import { tokenizationRequestBody, tokenizationView } from '../../../domain/api-shapes.ts';
import { AppError } from '../../../domain/errors.ts';
import { acceptTokenization } from '../../../tokenization/request/accept.ts';
import { apiRoute } from '../../api/api-route.ts';
import { getTokenizationView } from '../../../tokenization/read/view.ts';

/** `POST /v1/tokenizations`: takes a request for a QuickPay ID. Sent again it gives the same tokenization. */
export const createTokenization = apiRoute({
  operationId: 'createTokenization',
  method: 'POST',
  path: '/tokenizations',
  scope: 'enqueue',
  tag: 'tokenizations',
  summary: 'Ask for a QuickPay ID',
  description:
    'The request is sealed and kept before it is answered. The merchant reference is its key: the same reference with the same body gives the same tokenization and asks the gateway once; with another body it is a conflict.',
  body: tokenizationRequestBody,
  headers: [
    {
      name: 'idempotency-key',
      description: 'May be left out; if sent, it has to equal `merchant.referenceId`',
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

/** The header may hold the key as it is, or quoted, as the draft standard writes it. */
function assertSameKey(key: string | undefined, referenceId: string): void {
  if (key === undefined || key === referenceId || key === `"${referenceId}"`) return;
  throw new AppError(
    'idempotency_key_mismatch',
    'Idempotency-Key has to equal merchant.referenceId, or be left out.',
    { paths: ['idempotency-key', 'merchant.referenceId'] },
  );
}
