/** How a create call is answered, and how its creation is decided. */
export type Behaviour = 'redirect' | 'direct' | 'direct-failed' | 'refuse' | 'approve' | 'decline';

/** A fault of one creation only. */
export type Modifier =
  | 'duplicated'
  | 'forged'
  | 'contradicting'
  | 'dropped'
  | 'late'
  | 'lost-reply';

/** What the sandbox plays for one creation. */
export interface Scenario {
  readonly behaviour: Behaviour;
  readonly modifiers: ReadonlySet<Modifier>;
}

const behaviours: ReadonlySet<string> = new Set<Behaviour>([
  'redirect',
  'direct',
  'direct-failed',
  'refuse',
  'approve',
  'decline',
]);
const modifiers: ReadonlySet<string> = new Set<Modifier>([
  'duplicated',
  'forged',
  'contradicting',
  'dropped',
  'late',
  'lost-reply',
]);
const prefix = 'sandbox:';

/**
 * Reads `sandbox:<behaviour>[+<modifier>...]` from an order's remark. Without a behaviour the
 * method decides: the gateway approves `Credit Card` at once, as in Oceanpayment's sample, and
 * sends every other method to the hosted page. Undefined for a misspelt scenario, which the
 * sandbox refuses, because a test would otherwise run another scenario unnoticed.
 */
export function parseScenario(remark: string, methods: string): Scenario | undefined {
  const behaviourOfMethod: Behaviour = methods === 'Credit Card' ? 'direct' : 'redirect';
  if (!remark.startsWith(prefix)) return { behaviour: behaviourOfMethod, modifiers: new Set() };
  const words = remark.slice(prefix.length).split('+');
  const namedBehaviours = words.filter(isBehaviour);
  const namedModifiers = words.filter(isModifier);
  const knownCount = namedBehaviours.length + namedModifiers.length;
  if (namedBehaviours.length > 1 || knownCount !== words.length) return undefined;
  const behaviour = namedBehaviours[0] ?? behaviourOfMethod;
  return { behaviour, modifiers: new Set(namedModifiers) };
}

function isBehaviour(word: string): word is Behaviour {
  return behaviours.has(word);
}

function isModifier(word: string): word is Modifier {
  return modifiers.has(word);
}
