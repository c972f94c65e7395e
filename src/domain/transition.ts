/** Entities whose state only the transition door writes. Each is named like its table. */
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
 * One row of a transition table: an event, the states it may happen in, and the state it leads to.
 * From `null` the event creates the entity. `same` keeps the state; the entity still gets a new
 * version and an audit row.
 */
export interface Transition<State extends string, Event extends string> {
  readonly event: Event;
  readonly from: readonly (State | null)[];
  readonly to: State | 'same';
}

/** The state that an event leads to; undefined when the table does not allow the event. */
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
