import { randomUUID } from 'node:crypto';
import { isReached, type TokenTransport } from '../client/token-client.ts';
import { findProgress } from '../db/tokenization-pages.ts';
import type { AuditContext } from '../domain/audit-entry.ts';
import { acceptCallback } from '../callback/accept.ts';
import { acceptTokenization } from '../tokenization/request/accept.ts';
import { disableToken } from '../tokenization/token/disable.ts';
import { findTokenizations } from '../tokenization/read/find.ts';
import type { BackendDependencies } from '../execution/dependencies.ts';
import { inboundMessageOf } from '../callback/raw.ts';
import {
  type AccessTokenReader,
  accessTokenViewOf,
  openSubscribedReader,
} from '../access-token/read/reader.ts';
import { readTimeline } from '../tokenization/read/timeline.ts';
import { reportInvalidToken } from '../access-token/read/report-invalid.ts';
import { requestConfirmation } from '../tokenization/outcome/request-confirmation.ts';
import { revealOpccount } from '../credential/reveal-opccount.ts';
import { revealToken } from '../tokenization/token/reveal.ts';
import { getTokenizationView } from '../tokenization/read/view.ts';
import { awaitTokenization, createTokenizationWaiters } from '../tokenization/read/long-poll.ts';
import { clientErrorOf, closedError } from './fault.ts';
import { UnrecordedReadsError } from './unrecorded-reads-error.ts';

/** The options of the direct transport. */
export interface DirectTransportOptions {
  readonly dependencies: BackendDependencies;
  /** Leads to the server without a pooler. */
  readonly listenUrl: string;
  /** The client's name in the audit trail. */
  readonly name: string;
  readonly onFault: (fault: unknown) => void;
}

/** The transport on PostgreSQL, without HTTP. */
export interface DirectTransport extends TokenTransport {
  /** Ends long polls and waits for all other calls. */
  readonly close: () => Promise<void>;
}

/** Creates the transport. Each call runs the operation of the HTTP route with the same name. */
export function createDirectTransport(options: DirectTransportOptions): DirectTransport {
  const { dependencies, name, onFault } = options;
  const waiters = createTokenizationWaiters(
    async (ids) => await findProgress(dependencies.db, ids),
  );
  const inFlight = new Set<Promise<unknown>>();
  const actor = { type: 'backend', id: name } as const;
  let reader: AccessTokenReader | undefined;
  let isClosed = false;

  /** Runs one call under a new request id, which its audit rows and its error contain. */
  async function run<Answer>(call: (audit: AuditContext) => Promise<Answer>): Promise<Answer> {
    if (isClosed) throw closedError();
    const traceId = randomUUID();
    const running = call({ actor, traceId });
    inFlight.add(running);
    try {
      return await running;
    } catch (error) {
      const fault = clientErrorOf(error, traceId);
      if (fault.code === 'internal' || fault.code === 'database_unavailable') onFault(error);
      throw fault;
    } finally {
      inFlight.delete(running);
    }
  }

  return {
    requestTokenization: async (request) =>
      await run(async (audit) => {
        const { tokenization } = await acceptTokenization(dependencies, request, { audit });
        return await getTokenizationView(dependencies, tokenization.id);
      }),
    getTokenization: async (id, wait) =>
      await run(async () => {
        if (wait === undefined) return await getTokenizationView(dependencies, id);
        const view = await awaitTokenization({ ...dependencies, waiters }, id, wait);
        if (isClosed && !isReached(view, wait.until)) throw closedError();
        return view;
      }),
    findTokenizations: async (filter, page) =>
      await run(async () => await findTokenizations(dependencies, filter, page)),
    readTimeline: async (id, page) =>
      await run(async () => await readTimeline(dependencies, id, page)),
    revealToken: async (id) =>
      await run(async (audit) => (await revealToken(dependencies, id, audit)).reveal()),
    disableToken: async (id) =>
      await run(async (audit) => {
        await disableToken(dependencies, { v: 1, tokenizationId: id }, audit);
        return await getTokenizationView(dependencies, id);
      }),
    confirmTokenization: async (id) =>
      await run(async (audit) => {
        await requestConfirmation(dependencies, id, audit);
        return await getTokenizationView(dependencies, id);
      }),
    forward: async (channel, message) =>
      await run(async (audit) => {
        const inbound = inboundMessageOf(channel, message);
        const { id, isDuplicate } = await acceptCallback(dependencies, inbound, { audit });
        return { id, isDuplicate };
      }),
    getAccessToken: async (credential) =>
      await run(async () => {
        reader ??= openReader(options);
        return accessTokenViewOf(await reader.read(credential, actor));
      }),
    reportInvalidAccessToken: async (credential, generation) =>
      await run(async () => {
        reader?.invalidate(credential, generation);
        await reportInvalidToken(dependencies, credential, generation, actor);
      }),
    revealOpccount: async (credential) =>
      await run(async (audit) => await revealOpccount(dependencies, credential, audit)),
    async close() {
      isClosed = true;
      waiters.close();
      await Promise.allSettled(inFlight);
      await reader?.close();
    },
  };
}

function openReader({
  dependencies,
  listenUrl,
  onFault,
}: DirectTransportOptions): AccessTokenReader {
  return openSubscribedReader({
    ...dependencies,
    listenUrl,
    onUnrecorded(unrecorded, error, isLost) {
      const ofBackends = unrecorded.map(
        ({ accessTokenId, credential, generation, actor, reads }) => ({
          accessTokenId,
          credential,
          generation,
          backend: actor.id,
          reads,
        }),
      );
      onFault(new UnrecordedReadsError(ofBackends, isLost, error));
    },
    onFault,
  });
}
