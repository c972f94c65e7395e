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
 * Whether something that was answered is what was asked for. Only fields without which the answer is of no use are looked at: a worker of
 * another release may say more, or name states and reasons that this client does not know.
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

/** A tokenization. */
export const isTokenization = checkOf<TokenizationView>(tokenization);

/** A page of tokenizations. */
export const isTokenizationPage = checkOf<TokenizationPage>(
  z.object({ items: z.array(tokenization), nextCursor }),
);

/** A page of audit rows. */
export const isTimelinePage = checkOf<TimelinePage>(
  z.object({ events: z.array(z.object({ id: z.string(), event: z.string() })), nextCursor }),
);

/** A QuickPay ID. */
export const isRevealedToken = checkOf<{ readonly quickpayId: string }>(
  z.object({ quickpayId: z.string() }),
);

/** The inbox row of a message. */
export const isKeptCallback = checkOf<KeptCallback>(
  z.object({ id: z.uuid(), isDuplicate: z.boolean() }),
);

/** An access token. */
export const isAccessToken = checkOf<AccessTokenView>(
  z.object({ accessToken: z.string(), generation: z.int(), secondsLeft: z.number() }),
);

/** What became of a report. */
export const isReportTaken = checkOf<{ readonly result: string }>(z.object({ result: z.string() }));

/** An OPCCOUNT credential. */
export const isOpccount = checkOf<OpccountCredential>(
  z.object({ number: z.string(), vaCode: z.string(), privateKey: z.string() }),
);
