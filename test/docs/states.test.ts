import { expect, test } from 'vitest';
import { renderStates } from './states.ts';

test('docs/states.md is generated from the transition tables', async () => {
  await expect(renderStates()).toMatchFileSnapshot('../../docs/states.md');
});
