import type { ApiRoute } from '../../api/api-route.ts';
import { confirmTokenization } from './confirm-tokenization.ts';
import { createTokenization } from './create-tokenization.ts';
import { disableToken } from './disable-token.ts';
import { findTokenizations } from './find-tokenizations.ts';
import { forwardNotify, forwardRedirect } from './forward-callback.ts';
import { getAccessToken } from './get-access-token.ts';
import { getTimeline } from './get-timeline.ts';
import { getTokenization } from './get-tokenization.ts';
import { listDeadLetters } from './list-dead-letters.ts';
import { redriveDeadLetter } from './redrive-dead-letter.ts';
import { reportInvalidAccessToken } from './report-invalid-access-token.ts';
import { revealOpccount } from './reveal-opccount.ts';
import { revealToken } from './reveal-token.ts';

/** All routes of the API, in the order of the OpenAPI document. */
export const apiRoutes: readonly ApiRoute[] = [
  createTokenization,
  findTokenizations,
  getTokenization,
  getTimeline,
  revealToken,
  disableToken,
  confirmTokenization,
  forwardRedirect,
  forwardNotify,
  getAccessToken,
  reportInvalidAccessToken,
  revealOpccount,
  listDeadLetters,
  redriveDeadLetter,
];
