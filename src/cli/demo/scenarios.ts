/** What the customer of one demo lifecycle does, and where the lifecycle has to end. */
export interface Scenario {
  readonly name: string;
  /** What the gateway sandbox is told to do with the creation, through `order.remark`. */
  readonly remark: string;
  readonly customer:
    | 'approves'
    | 'declines'
    | 'leaves'
    | 'approves_and_closes'
    | 'approves_late'
    | 'none';
  /** Times the browser delivers the result; more than once is a customer who reloads. */
  readonly browserDeliveries: number;
  /** Whether somebody posts a made-up result to the redirect route first. */
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

/** The lifecycles that the demo goes through, over and over. */
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
  {
    ...base,
    name: 'pushes lost',
    remark: 'sandbox:redirect+dropped',
    customer: 'approves_and_closes',
  },
  { ...base, name: 'contradicted', remark: 'sandbox:redirect+contradicting' },
  // Expired by then; the late success still wins.
  { ...base, name: 'too late', customer: 'approves_late' },
];

/** The scenario of lifecycle number `index`. */
export function scenarioOf(index: number): Scenario {
  const scenario = scenarios[index % scenarios.length];
  if (scenario === undefined) throw new RangeError('There are no scenarios.');
  return scenario;
}
