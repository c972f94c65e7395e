import { expect, expectTypeOf, test } from 'vitest';
import type { z } from 'zod';
import type {
  keptCallback,
  rawCallbackBody,
  Timeline,
  timelineEvent,
  TokenizationFilter as FilterOutput,
  tokenizationRequestBody,
  TokenizationPage as PageOutput,
  TokenizationView as ViewOutput,
  AccessTokenView as AccessTokenOutput,
  OpccountCredential as OpccountOutput,
} from '../../../src/domain/payload/api-shapes.ts';
import type {
  AccessTokenView,
  KeptCallback,
  OpccountCredential,
  RawCallback,
  TimelineEvent,
  TimelinePage,
  TokenizationFilter,
  TokenizationPage,
  TokenizationRequest,
  TokenizationView,
} from '../../../src/domain/payload/payload-types.ts';
import type { BackendPayload } from '../../../src/direct-client/backend-payload.ts';
import type { BackendJobName, backendJobs } from '../../../src/domain/payload/backend-jobs.ts';
import { payloadTypesSource } from '../../support/payload-types.ts';

test('src/domain/payload/payload-types.ts has the description of each field as its comment', async () => {
  await expect(await payloadTypesSource()).toMatchFileSnapshot(
    '../../../src/domain/payload/payload-types.ts',
  );
});

test('the generated types equal the types of the schemas', () => {
  expectTypeOf<TokenizationRequest>().toEqualTypeOf<z.input<typeof tokenizationRequestBody>>();
  expectTypeOf<RawCallback>().toEqualTypeOf<z.input<typeof rawCallbackBody>>();
  expectTypeOf<TokenizationFilter>().toEqualTypeOf<FilterOutput>();
  expectTypeOf<TokenizationView>().toEqualTypeOf<ViewOutput>();
  expectTypeOf<TokenizationPage>().toEqualTypeOf<PageOutput>();
  expectTypeOf<TimelineEvent>().toEqualTypeOf<z.infer<typeof timelineEvent>>();
  expectTypeOf<TimelinePage>().toEqualTypeOf<Timeline>();
  expectTypeOf<KeptCallback>().toEqualTypeOf<z.infer<typeof keptCallback>>();
  expectTypeOf<AccessTokenView>().toEqualTypeOf<AccessTokenOutput>();
  expectTypeOf<OpccountCredential>().toEqualTypeOf<OpccountOutput>();
});

test('the payload types of backends equal those of the schemas, with an optional version', () => {
  type Schemas = { [Name in BackendJobName]: z.input<(typeof backendJobs)[Name]['payload']> };
  type Types = { [Name in BackendJobName]: BackendPayload<Name> };
  type VersionedTypes = { [Name in BackendJobName]: BackendPayload<Name> & { v: 1 } };
  expectTypeOf<VersionedTypes>().toExtend<Schemas>();
  expectTypeOf<Schemas>().toExtend<Types>();
});
