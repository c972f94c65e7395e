import { z } from 'zod';
import type {
  AccessTokenView,
  KeptCallback,
  OpccountCredential,
  TimelinePage,
  TokenizationPage,
  TokenizationView,
} from './answers.ts';

/**
 * Whether a body is the expected answer. A check covers only the fields that the client needs: a
 * worker of another release may send more fields, and states or reasons unknown to this client.
 */
export type AnswerCheck<Answer> = (body: unknown) => body is Answer;

function checkOf<Answer>(schema: z.ZodType): AnswerCheck<Answer> {
  return (body): body is Answer => schema.safeParse(body).success;
}

const tokenization = z.object({
  id: z.uuid(),
  state: z.string(),
  merchantReferenceId: z.string(),
  redirectUrl: z.string().nullable(),
});
const nextCursor = z.string().nullable();

/** Checks a tokenization. */
export const isTokenization = checkOf<TokenizationView>(tokenization);

/** Checks a page of tokenizations. */
export const isTokenizationPage = checkOf<TokenizationPage>(
  z.object({ items: z.array(tokenization), nextCursor }),
);

/** Checks a page of audit rows. */
export const isTimelinePage = checkOf<TimelinePage>(
  z.object({ events: z.array(z.object({ id: z.string(), event: z.string() })), nextCursor }),
);

/** Checks a revealed QuickPay ID. */
export const isRevealedToken = checkOf<{ readonly quickpayId: string }>(
  z.object({ quickpayId: z.string() }),
);

/** Checks the inbox row of a message. */
export const isKeptCallback = checkOf<KeptCallback>(
  z.object({ id: z.uuid(), isDuplicate: z.boolean() }),
);

/** Checks an access token. */
export const isAccessToken = checkOf<AccessTokenView>(
  z.object({ accessToken: z.string(), generation: z.int(), secondsLeft: z.number() }),
);

/** Checks the answer to a report. */
export const isReportAnswer = checkOf<{ readonly result: string }>(
  z.object({ result: z.string() }),
);

/** Checks an OPCCOUNT credential. */
export const isOpccount = checkOf<OpccountCredential>(
  z.object({ number: z.string(), vaCode: z.string(), privateKey: z.string() }),
);
