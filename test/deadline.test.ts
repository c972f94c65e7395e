import { expect, test, vi } from 'vitest';
import { startDeadline } from '../src/deadline.ts';

test('a deadline aborts when its time is over, and says so', () => {
  vi.useFakeTimers();
  try {
    const deadline = startDeadline(1_000);
    vi.advanceTimersByTime(999);
    expect(deadline.signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(deadline.signal.aborted).toBe(true);
    expect(deadline.signal.reason).toHaveProperty('name', 'TimeoutError');
    expect(deadline.isOver()).toBe(true);
  } finally {
    vi.useRealTimers();
  }
});

test('a deadline aborts with the signal of its caller, before or after its start', () => {
  const caller = new AbortController();
  const deadline = startDeadline(60_000, caller.signal);
  caller.abort('stopping');
  const late = startDeadline(60_000, caller.signal);
  for (const one of [deadline, late]) {
    expect(one.signal.reason).toBe('stopping');
    expect(one.isOver()).toBe(false);
    one.clear();
  }
});

test('work that ended leaves neither a timer nor a listener', () => {
  vi.useFakeTimers();
  try {
    const caller = new AbortController();
    const remove = vi.spyOn(caller.signal, 'removeEventListener');
    const deadline = startDeadline(1_000, caller.signal);
    deadline.clear();
    expect(vi.getTimerCount()).toBe(0);
    expect(remove).toHaveBeenCalledOnce();
    caller.abort();
    expect(deadline.signal.aborted).toBe(false);
  } finally {
    vi.useRealTimers();
  }
});
