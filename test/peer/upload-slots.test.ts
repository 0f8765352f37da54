import { setMaxListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UploadSlots } from '../../src/peer/upload-slots.ts';

const { signal } = new AbortController();
setMaxListeners(0, signal);

describe('the streams of a peer (S85)', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('are so many in all, and four of one client, however many it asks for', async () => {
    const slots = new UploadSlots(6);
    const greedy = await Promise.all(Array.from({ length: 4 }, async () => slots.take('greedy', signal)));
    expect(greedy.every((release) => release !== undefined)).toBe(true);
    const fifth = slots.take('greedy', signal);
    // Two are left for others, at once.
    expect(await slots.take('modest', signal)).toBeDefined();
    expect(await slots.take('third', signal)).toBeDefined();
    expect(slots.underWay).toBe(6);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await fifth).toBeUndefined();
  });

  it('come in turn within a second, and a slot is given back once', async () => {
    const slots = new UploadSlots(1);
    const release = await slots.take('one', signal);
    const second = slots.take('two', signal);
    const third = slots.take('three', signal);
    release?.();
    release?.();
    expect(await second).toBeDefined();
    expect(slots.underWay).toBe(1);
    (await second)?.();
    (await third)?.();
    expect(slots.underWay).toBe(0);
  });

  it('are waited for by 64 at most, and by none that has gone', async () => {
    const slots = new UploadSlots(1);
    await slots.take('holder', signal);
    const gone = new AbortController();
    const leaving = slots.take('leaving', gone.signal);
    gone.abort();
    expect(await leaving).toBeUndefined();
    const waiting = Array.from({ length: 64 }, async (_, each) => slots.take(`client ${each}`, signal));
    expect(await slots.take('too late', signal)).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1_000);
    expect((await Promise.all(waiting)).filter((release) => release !== undefined)).toEqual([]);
  });
});
