/** What happens in one lifecycle of the demo, and its expected state. */
export interface Scenario {
  readonly name: string;
  /** The instruction to the gateway sandbox, sent as `order.remark`. */
  readonly remark: string;
  readonly customer:
    | 'approves'
    | 'declines'
    | 'leaves'
    | 'approves_and_closes'
    | 'approves_late'
    | 'none';
  /** How often the browser delivers the result; a customer who reloads delivers it again. */
  readonly browserDeliveries: number;
  /** Whether a forger posts an invented result to the redirect route first. */
  readonly isForged: boolean;
  readonly expected: 'active' | 'failed' | 'expired';
}

const base = {
  remark: 'sandbox:redirect',
  customer: 'approves',
  browserDeliveries: 1,
  isForged: false,
  expected: 'active',
} as const satisfies Omit<Scenario, 'name'>;

/** The scenarios that the demo repeats. */
export const scenarios: readonly Scenario[] = [
  { ...base, name: 'redirect' },
  { ...base, name: 'direct', remark: 'sandbox:direct', customer: 'none' },
  { ...base, name: 'declined', customer: 'declines', expected: 'failed' },
  { ...base, name: 'abandoned', customer: 'leaves', expected: 'expired' },
  {
    ...base,
    name: 'duplicated',
    remark: 'sandbox:redirect+duplicated',
    browserDeliveries: 3,
  },
  { ...base, name: 'forged', remark: 'sandbox:redirect+forged', isForged: true },
  { ...base, name: 'refused', remark: 'sandbox:refuse', customer: 'none', expected: 'failed' },
  { ...base, name: 'browser closed', customer: 'approves_and_closes' },
  { ...base, name: 'reply lost', remark: 'sandbox:approve+lost-reply', customer: 'none' },
  // The worker sends the request again, because no customer got the page of the first one.
  { ...base, name: 'page lost', remark: 'sandbox:redirect+lost-reply' },
  {
    ...base,
    name: 'pushes lost',
    remark: 'sandbox:redirect+dropped',
    customer: 'approves_and_closes',
  },
  { ...base, name: 'contradicted', remark: 'sandbox:redirect+contradicting' },
  // The tokenization has expired before; the late success still activates it.
  { ...base, name: 'too late', customer: 'approves_late' },
];

/** The scenario of lifecycle number `index`. */
export function scenarioOf(index: number): Scenario {
  const scenario = scenarios[index % scenarios.length];
  if (scenario === undefined) throw new RangeError('There are no scenarios.');
  return scenario;
}
