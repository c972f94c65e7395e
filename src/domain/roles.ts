/** The parts of the worker that a process can run. One process may run all of them. */
export const roles = ['worker', 'http', 'relay', 'scheduler'] as const;

/** A role of a process. */
export type Role = (typeof roles)[number];
