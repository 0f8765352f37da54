import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { limitLog } from '../../../src/hypervisor/qemu/log-limit.ts';
import { beginLog, lastLines } from '../../../src/run/serial-log.ts';
import { temporaryDirectory } from '../../support/directory.ts';

it('the log of a run begins empty, beside that of the run before, and is for its user alone', async () => {
  const directory = temporaryDirectory();
  const log = `${directory}/serial.log`;
  writeFileSync(log, 'of the run before');
  await beginLog(directory);
  expect([readFileSync(log, 'utf8'), readFileSync(`${log}.1`, 'utf8')]).toEqual(['', 'of the run before']);
  expect(statSync(log).mode & 0o777).toBe(0o600);
});

it('a guest that writes without end fills two files of a limited size, and what it said last is there', async () => {
  const directory = temporaryDirectory();
  const log = `${directory}/serial.log`;
  await beginLog(directory);
  onTestFinished(limitLog(log, 1000));
  const writeUntil = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) {
      appendFileSync(log, `${'x'.repeat(99)}\n`);
      await delay(20);
    }
  };
  await writeUntil(() => existsSync(`${log}.1`));
  // Another file than before: two can have the same size.
  const first = statSync(`${log}.1`).ino;
  await writeUntil(() => statSync(`${log}.1`).ino !== first && statSync(log).size < 1000);
  appendFileSync(log, 'last\n');
  expect((await lastLines(directory)).at(-1)).toBe('last');
});

it('the last lines of a log are told without what moves cursors, and of none there are none', async () => {
  const directory = temporaryDirectory();
  const log = `${directory}/serial.log`;
  expect(await lastLines(directory)).toEqual([]);
  writeFileSync(log, 'first\r\n\n\u001B[2J\u001B[1;31mred\u001B[0m\r\nlast');
  expect(await lastLines(directory)).toEqual(['first', 'red', 'last']);
});
