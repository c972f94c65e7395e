import { expect, test } from 'vitest';
import { renderStates } from './states.ts';

test('docs/states.md draws the transition tables as they are', async () => {
  await expect(renderStates()).toMatchFileSnapshot('../../docs/states.md');
});
