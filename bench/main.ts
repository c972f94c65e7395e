import { accessTokens } from './scenarios/access-tokens.ts';
import { callbacks } from './scenarios/callbacks.ts';
import { e2e } from './scenarios/e2e.ts';
import { enqueue } from './scenarios/enqueue.ts';
import { evidence } from './scenarios/evidence.ts';
import { latency } from './scenarios/latency.ts';
import { scaling } from './scenarios/scaling.ts';
import { transitions } from './scenarios/transitions.ts';

/** Scenarios by name. Each prints a table and resolves to the JSON line that is printed last. */
const scenarios: Readonly<
  Record<string, (args: readonly string[]) => Promise<Record<string, unknown>>>
> = {
  transitions,
  evidence,
  enqueue,
  e2e,
  callbacks,
  latency,
  scaling,
  'access-tokens': accessTokens,
};

const name = process.argv[2] ?? '';
const scenario = scenarios[name];
if (scenario === undefined) {
  console.error(`Name a scenario: npm run bench -- ${Object.keys(scenarios).join(' | ')}`);
  process.exitCode = 2;
} else {
  console.log(JSON.stringify(await scenario(process.argv.slice(3))));
}
