import { accessTokenTransitions } from '../../src/domain/access-token.ts';
import { callbackTransitions } from '../../src/domain/callback.ts';
import { credentialTransitions } from '../../src/domain/credential.ts';
import { deadLetterTransitions } from '../../src/domain/dead-letter.ts';
import { deliveryTransitions, webhookEndpointTransitions } from '../../src/domain/delivery.ts';
import { tokenizationTransitions } from '../../src/domain/tokenization.ts';
import type { Transition } from '../../src/domain/transition.ts';

type AnyTransition = Transition<string, string>;

interface Entity {
  readonly title: string;
  readonly summary: string;
  readonly transitions: readonly AnyTransition[];
}

const entities: readonly Entity[] = [
  {
    title: 'Tokenization',
    summary: 'One request for a QuickPay ID, and the resulting token.',
    transitions: tokenizationTransitions,
  },
  {
    title: 'Access token',
    summary:
      'The OPCard token of one credential. Expired is no state: readers compute it from the clock, and a valid token is readable in every state.',
    transitions: accessTokenTransitions,
  },
  {
    title: 'Callback',
    summary: 'One message of the gateway, through the browser or from its server.',
    transitions: callbackTransitions,
  },
  {
    title: 'Delivery',
    summary: "One event on its way to the merchant's backend.",
    transitions: deliveryTransitions,
  },
  {
    title: 'Webhook endpoint',
    summary: "The address of the merchant's backend.",
    transitions: webhookEndpointTransitions,
  },
  {
    title: 'Credential',
    summary: 'One set of API keys of the gateway.',
    transitions: credentialTransitions,
  },
  {
    title: 'Dead letter',
    summary: 'One job that could not be done.',
    transitions: deadLetterTransitions,
  },
];

/** docs/states.md: a diagram of each entity, drawn from the transition tables in src/domain. */
export function renderStates(): string {
  const sections = entities.map(({ title, summary, transitions }) =>
    [`## ${title}`, summary, diagramOf(transitions), sameStateTable(transitions)]
      .filter((part) => part !== '')
      .join('\n\n'),
  );
  return [
    '# States',
    'Generated from the transition tables in `src/domain` by `npx vitest run test/docs --update`; a test compares the two. Each arrow is an\n' +
      'event. The audit row of the change has the same `event`. No other change of state exists.',
    ...sections,
    '',
  ].join('\n\n');
}

function diagramOf(transitions: readonly AnyTransition[]): string {
  const events = new Map<string, string[]>();
  for (const { event, from, to } of transitions) {
    if (to === 'same') continue;
    for (const state of from) {
      const arrow = `${state ?? '[*]'} --> ${to}`;
      events.set(arrow, [...(events.get(arrow) ?? []), event]);
    }
  }
  const arrows = [...events].map(([arrow, names]) => `  ${arrow}: ${names.join(', ')}`);
  return ['```mermaid', 'stateDiagram-v2', ...arrows, '```'].join('\n');
}

function sameStateTable(transitions: readonly AnyTransition[]): string {
  const all = new Set(
    transitions.flatMap(({ from, to }) => (to === 'same' ? from : [...from, to])),
  );
  all.delete(null);
  const rows = transitions
    .filter(({ to }) => to === 'same')
    .map(({ event, from }) => {
      const isAny = from.length === all.size;
      return `| \`${event}\` | ${isAny ? 'any' : from.map((state) => `\`${state}\``).join(', ')} |`;
    });
  if (rows.length === 0) return '';
  return ['| event that keeps the state | in |', '|---|---|', ...rows].join('\n');
}
