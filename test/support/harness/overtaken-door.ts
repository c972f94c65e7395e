import type { TransitionDoor } from '../../../src/db/transition-door.ts';

/** The door of a process whose first change of this kind is overtaken: `first` runs before it. */
export function overtakenDoor(
  door: TransitionDoor,
  event: string,
  first: () => Promise<unknown>,
): TransitionDoor {
  let isOvertaken = false;
  return {
    ...door,
    async apply(request) {
      if (request.event === event && !isOvertaken) {
        isOvertaken = true;
        await first();
      }
      return await door.apply(request);
    },
  };
}
