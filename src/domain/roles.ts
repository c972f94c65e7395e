/** What a process of the worker may do; one process may do all of it. */
export const roles = ['worker', 'http', 'relay', 'scheduler'] as const;

/** A role of a process. */
export type Role = (typeof roles)[number];
