import fc from 'fast-check';
import { histories, play } from '../../test/model/evidence-history.ts';

const historiesCount = 250_000;
const stepsMax = 12;

/** Plays random histories through the evidence reducer; the exit code is 1 if one breaks a rule. */
export async function evidence(): Promise<Record<string, unknown>> {
  const seed = Math.trunc(Math.random() * 2 ** 31);
  const startedAt = performance.now();
  const breaks = new Map<string, number>();
  const endings = new Map<string, number>();
  let steps = 0;
  fc.assert(
    fc.property(histories(stepsMax), (history) => {
      const ending = play(history);
      steps += history.steps.length;
      endings.set(ending.state, (endings.get(ending.state) ?? 0) + 1);
      for (const broken of ending.breaks) breaks.set(broken, (breaks.get(broken) ?? 0) + 1);
    }),
    { numRuns: historiesCount, seed },
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(`seed ${seed}: ${historiesCount} histories, ${steps} steps, ${seconds.toFixed(1)} s`);
  console.table([...endings].map(([ending, count]) => ({ ending, count })));
  if (breaks.size > 0) console.table([...breaks].map(([rule, count]) => ({ rule, count })));
  const broken = [...breaks.values()].reduce((sum, count) => sum + count, 0);
  if (broken > 0) process.exitCode = 1;
  return await Promise.resolve({ histories: historiesCount, breaks: broken });
}
