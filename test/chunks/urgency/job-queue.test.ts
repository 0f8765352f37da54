import { expect, it } from 'vitest';
import { JobQueue } from '../../../src/chunks/urgency/job-queue.ts';
import { Pause, type PauseState } from '../../../src/chunks/urgency/pause.ts';
import { pauseForUrgent } from '../../../src/chunks/urgency/urgency.ts';

it('gives out jobs in their order, urgent ones first', () => {
  const jobs = ['first', 'second', 'third', 'fourth'];
  const urgent = new Set(['third']);
  const urgency = { isUrgent: (each: string) => urgent.has(each), onChange: () => () => undefined };
  const queue = new JobQueue(jobs, urgency);
  expect(queue.hasUrgent).toBe(true);
  expect(queue.take('any')).toBe('third');
  expect(queue.take('urgent')).toBeUndefined();
  expect(queue.take('any')).toBe('first');
  urgent.add('fourth');
  expect(queue.take('urgent')).toBe('fourth');
  expect(queue.take('any')).toBe('second');
  expect(queue.take('any')).toBeUndefined();
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
