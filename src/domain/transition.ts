/** Entities whose state is written through the transition door only. Each name is also its table's name. */
export const entityTypes = [
  'credential',
  'tokenization',
  'callback',
  'access_token',
  'dead_letter',
  'delivery',
  'webhook_endpoint',
  'api_key',
] as const;

/** The name of an entity's table, and the `entity_type` of its audit rows. */
export type EntityType = (typeof entityTypes)[number];

/**
 * One row of a transition table: an event, the states it may happen in (`null`: the entity does not exist yet), and the
 * state it leads to. `same` keeps the state; the row still gets a new version and an audit row of its own.
 */
export interface Transition<State extends string, Event extends string> {
  readonly event: Event;
  readonly from: readonly (State | null)[];
  readonly to: State | 'same';
}

/** The state that `event` leads to from `from`, or undefined when the table does not allow it. */
export function nextState<State extends string, Event extends string>(
  transitions: readonly Transition<State, Event>[],
  from: State | null,
  event: Event,
): State | undefined {
  const found = transitions.find((row) => row.event === event && row.from.includes(from));
  if (found === undefined) return undefined;
  if (found.to !== 'same') return found.to;
  return from ?? undefined;
}
