import type { z } from 'zod';
import type {
  accessTokenView,
  keptCallback,
  revealedOpccount,
  timeline,
  timelineEvent,
  tokenizationPage,
  tokenizationView,
} from '../domain/api-shapes.ts';

/** A tokenization as the worker shows it. */
export type TokenizationView = z.infer<typeof tokenizationView>;
/** A page of tokenizations, newest first. */
export type TokenizationPage = z.infer<typeof tokenizationPage>;
/** One change of a tokenization, or of a message about it. */
export type TimelineEvent = z.infer<typeof timelineEvent>;
/** A page of changes, oldest first. */
export type TimelinePage = z.infer<typeof timeline>;
/** The inbox row that stands for a forwarded message. */
export type KeptCallback = z.infer<typeof keptCallback>;
/** An access token that is valid now. */
export type AccessTokenView = z.infer<typeof accessTokenView>;
/** An OPCCOUNT credential, with which a backend signs its calls. */
export type OpccountCredential = z.infer<typeof revealedOpccount>;
