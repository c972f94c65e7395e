import type { Secret } from '../../security/secret.ts';
import { type Creation, isUndecided } from '../creation/creation.ts';
import { forgeSignature, shiftFields } from './forgery.ts';
import { type Random, deriveRandom } from '../seeded-random.ts';
import { type FieldPair, resultFields, signFields, trueClaim } from '../creation/result-fields.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import type { PushKind } from '../sandbox-event.ts';

/** One message for `notifyUrl`, before it is encoded. */
export interface PushMessage {
  readonly kind: PushKind;
  readonly fields: readonly FieldPair[];
  /** A forger tries once; the gateway as often as its schedule has times. */
  readonly attemptsMax: number;
}

/** How late `sandbox:..+late` pushes when no `latePushMs` is set. */
const lateModifierMs = 2_000;
/** Longest extra wait by which reordered creations overtake each other. */
const reorderWindowMs = 200;

/** The messages that follow a decision, in the order of sending. */
export function planPushes(context: SandboxContext, creation: Creation): PushMessage[] {
  const { faults } = context;
  const planned = [...planForged(context, creation), ...planGenuine(context, creation)];
  return faults.reorderPushes ? planned.toReversed() : planned;
}

/** Milliseconds from the decision to the first push. */
export function firstPushDelayMs(context: SandboxContext, creation: Creation): number {
  const { faults, options } = context;
  const isLate = creation.directive.modifiers.has('late');
  const lateMs = isLate ? Math.max(faults.latePushMs, lateModifierMs) : faults.latePushMs;
  const random = randomOf(context, creation, 'reorder');
  const jitterMs = faults.reorderPushes ? random() % reorderWindowMs : 0;
  return (options.pushScheduleMs[0] ?? 0) + lateMs + jitterMs;
}

function planGenuine(context: SandboxContext, creation: Creation): PushMessage[] {
  const { faults, options } = context;
  const { modifiers } = creation.directive;
  if (isUndecided(creation) || faults.dropPushes || modifiers.has('dropped')) return [];
  const genuine = (kind: PushKind, claim: ReturnType<typeof trueClaim>): PushMessage => ({
    kind,
    fields: signFields(
      resultFields(creation, claim),
      faults.pushSignature,
      secureCodeOf(context, creation),
    ),
    attemptsMax: options.pushScheduleMs.length,
  });
  const claim = trueClaim(creation);
  const copyCount = Math.max(faults.duplicatePushes, modifiers.has('duplicated') ? 1 : 0);
  const isContradicting = faults.contradictingPush || modifiers.has('contradicting');
  return [
    genuine('result', claim),
    ...Array.from({ length: copyCount }, () => genuine('duplicate', claim)),
    ...(isContradicting && claim.status === '1'
      ? [genuine('contradicting', { status: '0', quickpayId: '' })]
      : []),
  ];
}

function planForged(context: SandboxContext, creation: Creation): PushMessage[] {
  const { faults } = context;
  const isChosen = creation.directive.modifiers.has('forged');
  const count = Math.max(faults.forgedPushes, isChosen ? 3 : 0);
  const random = randomOf(context, creation, 'forged');
  const secureCode = secureCodeOf(context, creation);
  // Shifting needs a genuine message, and an undecided creation has none yet.
  const canShift = !isUndecided(creation);
  return Array.from({ length: count }, (_, index) => {
    const side = ([undefined, 'right', 'left'] as const)[index % 3];
    const fields =
      canShift && side !== undefined
        ? shiftFields(creation, faults.pushSignature, secureCode, side)
        : forgeSignature(creation, random, secureCode);
    return { kind: 'forged', attemptsMax: 1, fields };
  });
}

function randomOf(context: SandboxContext, creation: Creation, purpose: string): Random {
  return deriveRandom(context.seed, purpose, creation.orderReferenceId);
}

/** The secure code that signs this creation's messages. */
export function secureCodeOf(context: SandboxContext, creation: Creation): Secret {
  return context.secureCodes.get(creation.account, creation.terminal);
}
