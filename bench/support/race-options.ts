import { z } from 'zod';

/** A number of jobs, rounds or workers. */
export const atLeastOne = z.coerce.number().int().min(1);

/** How long the gateway takes: `100`, or `50..200` for a random time in between. */
export const delayRange = z
  .string()
  .regex(/^\d+(?:\.\.\d+)?$/, { error: '--gateway-ms: give 100 or 50..200' })
  .transform((text): readonly [number, number] => {
    const [min = 0, max = min] = text.split('..').map(Number);
    return [min, max];
  });
