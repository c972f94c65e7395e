import type { z } from 'zod';
import type { keptCallback, timelineEvent } from '../domain/api-shapes.ts';

export type {
  AccessTokenView,
  OpccountCredential,
  Timeline as TimelinePage,
  TokenizationPage,
  TokenizationView,
} from '../domain/api-shapes.ts';

/** One change of a tokenization, or of a message about it. */
export type TimelineEvent = z.infer<typeof timelineEvent>;
/** The inbox row that stands for a forwarded message. */
export type KeptCallback = z.infer<typeof keptCallback>;
