export type {
  AccessTokenView,
  KeptCallback,
  OpccountCredential,
  TimelineEvent,
  TimelinePage,
  TokenizationPage,
  TokenizationView,
} from '../domain/payload/payload-types.ts';
