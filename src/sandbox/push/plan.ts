import { type Creation, isUndecided } from '../creation/creation.ts';
import {
  type FieldPair,
  type ReportedResult,
  actualResult,
  resultFields,
  signFields,
} from '../creation/result-fields.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import type { PushKind } from '../sandbox-event.ts';
import { type Random, deriveRandom } from '../seeded-random.ts';
import { forgeApproval, shiftSignedFields } from './forgery.ts';

/** One message for `notifyUrl`, before it is encoded. */
export interface PushMessage {
  readonly kind: PushKind;
  readonly fields: readonly FieldPair[];
  /** The length of the push schedule for a genuine push, 1 for a forged one. */
  readonly attemptsMax: number;
}

/** Minimum delay of the first push under the modifier `late`. */
const lateModifierMs = 2_000;
/** Longest random delay under `reorderPushes`, by which creations overtake each other. */
const reorderWindowMs = 200;

/** The messages that follow a decision, in the order of sending. */
export function planPushes(context: SandboxContext, creation: Creation): PushMessage[] {
  const planned = [...planForgedPushes(context, creation), ...planGenuinePushes(context, creation)];
  return context.faults.reorderPushes ? planned.toReversed() : planned;
}

/** Milliseconds from the decision to the first push. */
export function firstPushDelayMs(context: SandboxContext, creation: Creation): number {
  const { faults, options } = context;
  const isLate = creation.scenario.modifiers.has('late');
  const lateMs = isLate ? Math.max(faults.latePushMs, lateModifierMs) : faults.latePushMs;
  const random = deriveCreationRandom(context, creation, 'reorder');
  const jitterMs = faults.reorderPushes ? random() % reorderWindowMs : 0;
  return (options.pushScheduleMs[0] ?? 0) + lateMs + jitterMs;
}

function planGenuinePushes(context: SandboxContext, creation: Creation): PushMessage[] {
  const { faults, options } = context;
  const { modifiers } = creation.scenario;
  if (isUndecided(creation) || faults.dropPushes || modifiers.has('dropped')) return [];
  const genuinePush = (kind: PushKind, result: ReportedResult): PushMessage => ({
    kind,
    fields: signFields(
      resultFields(creation, result, faults),
      faults.pushSignature,
      context.secureCodes.get(creation),
    ),
    attemptsMax: options.pushScheduleMs.length,
  });
  const result = actualResult(creation);
  const copyCount = Math.max(faults.duplicatePushes, modifiers.has('duplicated') ? 1 : 0);
  const isContradicting = faults.contradictingPush || modifiers.has('contradicting');
  return [
    genuinePush('result', result),
    ...Array.from({ length: copyCount }, () => genuinePush('duplicate', result)),
    ...(isContradicting && result.status === '1'
      ? [genuinePush('contradicting', { status: '0', quickpayId: '' })]
      : []),
  ];
}

function planForgedPushes(context: SandboxContext, creation: Creation): PushMessage[] {
  const { faults } = context;
  const hasModifier = creation.scenario.modifiers.has('forged');
  const count = Math.max(faults.forgedPushes, hasModifier ? 3 : 0);
  const random = deriveCreationRandom(context, creation, 'forged');
  const secureCode = context.secureCodes.get(creation);
  // Shifting changes a genuine message, and an undecided creation has none.
  const canShift = !isUndecided(creation);
  return Array.from({ length: count }, (_, index) => {
    const side = ([undefined, 'right', 'left'] as const)[index % 3];
    const fields =
      canShift && side !== undefined
        ? shiftSignedFields(creation, faults, secureCode, side)
        : forgeApproval(creation, random, secureCode, faults);
    return { kind: 'forged', attemptsMax: 1, fields };
  });
}

function deriveCreationRandom(
  context: SandboxContext,
  creation: Creation,
  purpose: string,
): Random {
  return deriveRandom(context.seed, purpose, creation.orderReferenceId);
}
