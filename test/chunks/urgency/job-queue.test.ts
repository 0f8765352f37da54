import { expect, it } from 'vitest';
import { JobQueue } from '../../../src/chunks/urgency/job-queue.ts';
import { Pause } from '../../../src/chunks/urgency/pause.ts';
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

it('lets the others stand still while an urgent job is under way, and go on after it', () => {
  const said: string[] = [];
  const urgent = new Set<number>();
  const jobs = [1, 2, 3].map((id) => ({
    isUrgent: () => urgent.has(id),
    isPaused: false,
    pause: (isOn: boolean) => void said.push(`${id} ${isOn ? 'stands still' : 'goes on'}`),
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
  expect(said).toStrictEqual(['1 goes on']);
});

it('passes a pause when it is over, or when the job is ended', async () => {
  const pause = new Pause();
  const { signal } = new AbortController();
  await pause.pass(signal);
  pause.set(true);
  const passed = pause.pass(signal);
  const later = new Promise((resolve) => setImmediate(resolve, 'stands still'));
  expect(await Promise.race([passed, later])).toBe('stands still');
  pause.set(false);
  await passed;
  pause.set(true);
  const ended = new AbortController();
  const waiting = pause.pass(ended.signal);
  ended.abort(new Error('ended'));
  await expect(waiting).rejects.toThrow('ended');
});
