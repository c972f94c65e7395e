/**
 * How long this thread was busy with `work`, in milliseconds of CPU time. Unlike the time on the wall, it does not grow
 * with what else the machine is doing.
 */
export function cpuMsOf(work: () => unknown): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}
