import { refusal } from '../answer-codes.ts';
import { directAnswer, redirectAnswer } from './answers.ts';
import { type CreateBody, createBodySchema } from './request.ts';
import type { Creation } from '../creation/creation.ts';
import { decide } from '../page/customer-decision.ts';
import { type Directive, findDirective } from '../creation/scenario.ts';
import { drawOrderReference, drawUuid } from '../seeded-ids.ts';
import { deriveRandom } from '../seeded-random.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import type { AccountTerminal } from '../creation/secure-codes.ts';

/** `POST /pg/quickPay/create` for a known account: registers a creation and answers in one of the documented shapes. */
export function createQuickpay(
  context: SandboxContext,
  account: AccountTerminal,
  body: unknown,
): object {
  const parsed = createBodySchema.safeParse(body);
  if (!parsed.success) return refusal('param');
  const { remark, methods } = parsed.data.order;
  const directive = findDirective(remark, methods);
  if (directive === undefined) return refusal('param');
  const former = listFormer(context, account, parsed.data.merchant.referenceId);
  const accepted = former.findLast((creation) => creation.status !== 'refused');
  if (accepted !== undefined && context.faults.createIdempotency !== 'second-token') {
    return context.faults.createIdempotency === 'duplicate-error'
      ? refusal('duplicate')
      : answerOf(context, accepted);
  }
  const creation = newCreation(context, account, parsed.data, directive, former.length + 1);
  context.creations.add(creation);
  settleAtOnce(context, creation);
  return creation.status === 'refused' ? refusal('refused') : answerOf(context, creation);
}

function listFormer(
  context: SandboxContext,
  { account, terminal }: AccountTerminal,
  merchantReferenceId: string,
): readonly Creation[] {
  return context.creations.listBy(account, terminal, {
    by: 'merchant',
    value: merchantReferenceId,
  });
}

function settleAtOnce(context: SandboxContext, creation: Creation): void {
  const later = (decision: 'approve' | 'decline'): void =>
    context.agenda.after(context.faults.autoDecisionMs, () => decide(context, creation, decision));
  switch (creation.directive.behaviour) {
    case 'direct':
      return decide(context, creation, 'approve');
    case 'direct-failed':
      return decide(context, creation, 'decline');
    case 'approve':
      return later('approve');
    case 'decline':
      return later('decline');
    case 'refuse':
      creation.status = 'refused';
      return;
    case 'redirect':
      return;
  }
}

function answerOf(context: SandboxContext, creation: Creation): object {
  const { behaviour } = creation.directive;
  return behaviour === 'direct' || behaviour === 'direct-failed'
    ? directAnswer(creation)
    : redirectAnswer(creation, context.publicUrl);
}

function newCreation(
  context: SandboxContext,
  { account, terminal }: AccountTerminal,
  { order, merchant, billing, customer }: CreateBody,
  directive: Directive,
  ordinal: number,
): Creation {
  const { referenceId } = merchant;
  const random = deriveRandom(
    context.seed,
    'creation',
    account,
    terminal,
    referenceId,
    String(ordinal),
  );
  const quickpayId = drawUuid(random);
  let orderReferenceId = drawOrderReference(random);
  while (context.creations.hasOrderReference(orderReferenceId)) {
    orderReferenceId = drawOrderReference(random);
  }
  return {
    account,
    terminal,
    merchantReferenceId: referenceId,
    orderReferenceId,
    quickpayId,
    customerId: customer.id,
    currency: order.currency,
    amount: order.amount,
    methods: order.methods,
    country: billing.country,
    remark: order.remark,
    description: order.description,
    redirectUrl: order.redirectUrl,
    notifyUrl: order.notifyUrl,
    directive,
    createdAtMs: Date.now(),
    pushes: [],
    status: 'waiting',
    decidedAtMs: null,
    lastPushSecond: 0,
  };
}
