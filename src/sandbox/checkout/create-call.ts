import { refusal } from '../answer-codes.ts';
import type { AccountTerminal, Creation } from '../creation/creation.ts';
import { type Scenario, parseScenario } from '../creation/scenario.ts';
import { recordDecision } from '../page/customer-decision.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import { drawOrderReference, drawUuid } from '../seeded-ids.ts';
import { deriveRandom } from '../seeded-random.ts';
import { directAnswer, redirectAnswer } from './answers.ts';
import { type CreateBody, createBodySchema } from './request.ts';

/** A create call that passed the checks. */
interface CreateRequest {
  readonly account: AccountTerminal;
  readonly body: CreateBody;
  readonly scenario: Scenario;
  /** Earlier creations with the same merchant reference. */
  readonly previous: readonly Creation[];
}

/** `POST /pg/quickPay/create` of an authenticated account. */
export function createQuickpay(
  context: SandboxContext,
  account: AccountTerminal,
  rawBody: unknown,
): object {
  const { refuseCode } = context.faults;
  if (refuseCode !== null) return { ...refusal('refused'), code: refuseCode };
  const parsed = createBodySchema.safeParse(rawBody);
  if (!parsed.success || !hasNodes(rawBody, context.faults.requiredNodes)) return refusal('param');
  const body = parsed.data;
  const scenario = parseScenario(body.order.remark, body.order.methods);
  if (scenario === undefined) return refusal('param');
  const previous = context.creations.listByKey(account, {
    by: 'merchant',
    value: body.merchant.referenceId,
  });
  const accepted = previous.findLast((creation) => creation.status !== 'refused');
  if (accepted !== undefined && context.faults.createIdempotency !== 'second-token') {
    return context.faults.createIdempotency === 'duplicate-error'
      ? refusal('duplicate')
      : createAnswer(context, accepted);
  }
  const creation = newCreation(context, { account, body, scenario, previous });
  context.creations.add(creation);
  playScenario(context, creation);
  return creation.status === 'refused' ? refusal('refused') : createAnswer(context, creation);
}

function hasNodes(body: unknown, nodes: readonly string[]): boolean {
  return nodes.every((node) => typeof body === 'object' && body !== null && node in body);
}

/** Decides the creation, now or later, unless its scenario leaves that to the hosted page. */
function playScenario(context: SandboxContext, creation: Creation): void {
  const decideLater = (decision: 'approve' | 'decline'): void =>
    context.scheduler.schedule(context.faults.autoDecisionMs, () =>
      recordDecision(context, creation, decision),
    );
  switch (creation.scenario.behaviour) {
    case 'direct':
      return recordDecision(context, creation, 'approve');
    case 'direct-failed':
      return recordDecision(context, creation, 'decline');
    case 'approve':
      return decideLater('approve');
    case 'decline':
      return decideLater('decline');
    case 'refuse':
      creation.status = 'refused';
      return;
    case 'redirect':
      return;
  }
}

function createAnswer(context: SandboxContext, creation: Creation): object {
  const { behaviour } = creation.scenario;
  return behaviour === 'direct' || behaviour === 'direct-failed'
    ? directAnswer(creation, context.faults)
    : redirectAnswer(creation, context.publicUrl);
}

function newCreation(context: SandboxContext, request: CreateRequest): Creation {
  const { order, merchant, billing, customer } = request.body;
  return {
    ...request.account,
    ...drawIds(context, request),
    merchantReferenceId: merchant.referenceId,
    customerId: customer.id,
    currency: order.currency,
    amount: order.amount,
    methods: order.methods,
    country: billing.country,
    remark: order.remark,
    description: order.description,
    redirectUrl: order.redirectUrl,
    notifyUrl: order.notifyUrl,
    scenario: request.scenario,
    createdAtMs: Date.now(),
    pushes: [],
    status: 'waiting',
    decidedAtMs: null,
    lastPushSecond: 0,
  };
}

function drawIds(
  context: SandboxContext,
  { account: { account, terminal }, body, previous }: CreateRequest,
): Pick<Creation, 'quickpayId' | 'orderReferenceId'> {
  const { referenceId } = body.merchant;
  const ordinal = String(previous.length + 1);
  const random = deriveRandom(context.seed, 'creation', account, terminal, referenceId, ordinal);
  const quickpayId = drawUuid(random);
  let orderReferenceId = drawOrderReference(random);
  while (context.creations.findByOrderReference(orderReferenceId) !== undefined) {
    orderReferenceId = drawOrderReference(random);
  }
  return { quickpayId, orderReferenceId };
}
