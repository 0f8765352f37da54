import { expect, it, onTestFinished, vi } from 'vitest';
import { JobQueue, type JobSource } from '../../../src/chunks/urgency/job-queue.ts';
import { Pause, type PauseState } from '../../../src/chunks/urgency/pause.ts';
import { pauseForUrgent } from '../../../src/chunks/urgency/urgency.ts';

const SIGNAL = new AbortController().signal;

it('gives out jobs in their order, urgent ones first', async () => {
  const jobs = ['first', 'second', 'third', 'fourth'];
  const urgent = new Set(['third']);
  const urgency = { isUrgent: (each: string) => urgent.has(each), onChange: () => () => undefined };
  const queue = new JobQueue(jobs, urgency);
  expect(queue.hasUrgent).toBe(true);
  expect(await queue.take('any', SIGNAL)).toBe('third');
  expect(await queue.take('urgent', SIGNAL)).toBeUndefined();
  expect(await queue.take('any', SIGNAL)).toBe('first');
  urgent.add('fourth');
  expect(await queue.take('urgent', SIGNAL)).toBe('fourth');
  expect(await queue.take('any', SIGNAL)).toBe('second');
  expect(await queue.take('any', SIGNAL)).toBeUndefined();
});

it('lets a job that failed rest by itself, and go before the others then', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const queue = new JobQueue(['first', 'second', 'third'], undefined);
  expect(await queue.take('any', SIGNAL)).toBe('first');
  queue.putBack('first', { job: 'first again', afterMs: 1000, failed: 'job' });
  expect(await queue.take('any', SIGNAL)).toBe('second');
  vi.advanceTimersByTime(1000);
  expect(await queue.take('any', SIGNAL)).toBe('first again');
  expect(await queue.take('any', SIGNAL)).toBe('third');
  queue.putBack('third', { job: 'third again', afterMs: 1000, failed: 'job' });
  // It is not the end while one rests.
  const last = queue.take('any', SIGNAL);
  expect(await queue.take('urgent', SIGNAL)).toBeUndefined();
  vi.advanceTimersByTime(1000);
  expect(await last).toBe('third again');
  expect(await queue.take('any', SIGNAL)).toBeUndefined();
});

it('lets all rest when what all need has failed, and then one try for all, until something comes', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const queue = new JobQueue(['a', 'b', 'c'], undefined);
  expect(await queue.take('any', SIGNAL)).toBe('a');
  queue.putBack('a', { job: 'a', afterMs: 1000, failed: 'all' });
  const taken: (string | undefined)[] = [];
  for (let lane = 0; lane < 3; lane += 1) void queue.take('any', SIGNAL).then((job) => taken.push(job));
  await vi.advanceTimersByTimeAsync(999);
  expect(taken).toStrictEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  // That one which failed may be alone with it.
  expect(taken).toStrictEqual(['b']);
  queue.putBack('b', { job: 'b', afterMs: 1000, failed: 'all' });
  await vi.advanceTimersByTimeAsync(1000);
  expect(taken).toStrictEqual(['b', 'c']);
  queue.leave('c', 'works');
  await vi.advanceTimersByTimeAsync(0);
  expect(taken).toStrictEqual(['b', 'c', 'a']);
  expect(await queue.take('any', SIGNAL)).toBe('b');
});

it('stops waiting for a job that rests when there is no point in it any more', async () => {
  const queue = new JobQueue(['a'], undefined);
  await queue.take('any', SIGNAL);
  queue.putBack('a', { job: 'a', afterMs: 60_000, failed: 'job' });
  onTestFinished(() => queue.close());
  const ended = new AbortController();
  const waiting = queue.take('any', ended.signal);
  ended.abort(new Error('ended'));
  await expect(waiting).rejects.toThrow('ended');
});

it('takes jobs from a source one by one, and waits while it may have more', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const jobs = ['a', 'b'];
  const changes = new Set<() => void>();
  let left = 3;
  const source: JobSource<string> = {
    take: (which) => (which === 'any' ? jobs.shift() : undefined),
    hasUrgent: false,
    get length() {
      return left;
    },
    onChange: (listener) => {
      changes.add(listener);
      return () => changes.delete(listener);
    },
  };
  const queue = new JobQueue(source, undefined);
  expect([await queue.take('any', SIGNAL), await queue.take('any', SIGNAL)]).toStrictEqual(['a', 'b']);
  const waiting = queue.take('any', SIGNAL);
  jobs.push('c');
  for (const change of changes) change();
  expect(await waiting).toBe('c');
  // All rest, and then the one that failed is not the first to be tried.
  queue.putBack('c', { job: 'c again', afterMs: 1000, failed: 'all' });
  jobs.push('d');
  const after = queue.take('any', SIGNAL);
  await vi.advanceTimersByTimeAsync(1000);
  expect(await after).toBe('d');
  queue.leave('d', 'works');
  expect(await queue.take('any', SIGNAL)).toBe('c again');
  left = 0;
  expect(await queue.take('any', SIGNAL)).toBeUndefined();
  queue.close();
  expect(changes.size).toBe(0);
});

const WORDS = { on: 'stands still', ending: 'will go on', off: 'goes on' };

it('lets the others stand still while an urgent job is under way, and go on after it', () => {
  const said: string[] = [];
  const urgent = new Set<number>();
  const jobs = [1, 2, 3].map((id) => ({
    isUrgent: () => urgent.has(id),
    paused: 'off' as PauseState,
    pause: (state: PauseState) => void said.push(`${id} ${WORDS[state]}`),
  }));
  pauseForUrgent(jobs);
  expect(said).toStrictEqual([]);
  urgent.add(2);
  pauseForUrgent(jobs);
  pauseForUrgent(jobs);
  expect(said.splice(0)).toStrictEqual(['1 stands still', '3 stands still']);
  // Something waits for one that stands still.
  urgent.add(3);
  pauseForUrgent(jobs);
  expect(said.splice(0)).toStrictEqual(['3 goes on']);
  urgent.clear();
  pauseForUrgent(jobs);
  pauseForUrgent(jobs);
  expect(said.splice(0)).toStrictEqual(['1 will go on']);
  // Something waits for it before it has gone on by itself.
  urgent.add(1);
  pauseForUrgent(jobs);
  expect(said).toStrictEqual(['1 goes on', '2 stands still', '3 stands still']);
});

it('passes a pause that ends when no other one begins at once', async () => {
  const pause = new Pause();
  pause.set('on');
  pause.set('ending');
  // What runs still need not stop for it any more.
  expect(pause.isOn).toBe(false);
  pause.set('on');
  expect(pause.isOn).toBe(true);
  const passed = pause.pass(new AbortController().signal).then(() => performance.now());
  pause.set('ending');
  const ended = performance.now();
  expect((await passed) - ended).toBeGreaterThan(100);
});

it('passes a pause when it is over, or when the job is ended', async () => {
  const pause = new Pause();
  const { signal } = new AbortController();
  await pause.pass(signal);
  pause.set('on');
  const passed = pause.pass(signal);
  const later = new Promise((resolve) => setImmediate(resolve, 'stands still'));
  expect(await Promise.race([passed, later])).toBe('stands still');
  pause.set('off');
  await passed;
  pause.set('on');
  const ended = new AbortController();
  const waiting = pause.pass(ended.signal);
  ended.abort(new Error('ended'));
  await expect(waiting).rejects.toThrow('ended');
});
