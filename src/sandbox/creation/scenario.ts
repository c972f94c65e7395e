/** What becomes of a creation. */
export type Behaviour = 'redirect' | 'direct' | 'direct-failed' | 'refuse' | 'approve' | 'decline';

/** What else happens to this creation only. */
export type Modifier =
  | 'duplicated'
  | 'forged'
  | 'contradicting'
  | 'dropped'
  | 'late'
  | 'lost-reply';

/** The instructions in a creation's remark. */
export interface Directive {
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
 * Reads `sandbox:<behaviour>[+<modifier>...]` from the remark; any other remark means: by method, where `Credit Card` is
 * settled at once, as the vendor's page shows, and everything else goes through the hosted page. A misspelt
 * directive gives `undefined`, which the sandbox answers with PARAM_ERROR instead of testing something else silently.
 */
export function findDirective(remark: string, methods: string): Directive | undefined {
  const byMethod: Behaviour = methods === 'Credit Card' ? 'direct' : 'redirect';
  if (!remark.startsWith(prefix)) return { behaviour: byMethod, modifiers: new Set() };
  const words = remark.slice(prefix.length).split('+');
  const chosen = words.filter(isBehaviour);
  const changes = words.filter(isModifier);
  if (chosen.length > 1 || chosen.length + changes.length !== words.length) return undefined;
  return { behaviour: chosen[0] ?? byMethod, modifiers: new Set(changes) };
}

function isBehaviour(word: string): word is Behaviour {
  return behaviours.has(word);
}

function isModifier(word: string): word is Modifier {
  return modifiers.has(word);
}
