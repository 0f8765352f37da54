import { mkdirSync, statSync } from 'node:fs';
import { expect, it } from 'vitest';
import { readStopDeadline, removeRunRecord, writeStopDeadline } from '../../src/home/vms/run-record.ts';
import { temporaryDirectory } from '../support/directory.ts';

it('a deadline is for the process it was said to: what was said to an earlier one is out of date', async () => {
  const directory = temporaryDirectory();
  await writeStopDeadline(directory, 17, 1_700_000_000_000);
  expect(await readStopDeadline(directory, 17)).toBe(1_700_000_000_000);
  expect(await readStopDeadline(directory, 18)).toBeUndefined();
  await removeRunRecord(directory);
  expect(await readStopDeadline(directory, 17)).toBeUndefined();
});

it('a deadline that cannot be written keeps nothing from being stopped', async () => {
  const directory = temporaryDirectory();
  mkdirSync(`${directory}/stop-before.json`);
  await writeStopDeadline(directory, 17, 1);
  await writeStopDeadline('/nowhere', 17, 1);
  expect(await readStopDeadline(directory, 17)).toBeUndefined();
});

it('others may read it in a home that a group shares', async () => {
  const directory = `${temporaryDirectory()}/shared`;
  mkdirSync(directory);
  await writeStopDeadline(directory, 17, 1);
  expect(statSync(`${directory}/stop-before.json`).mode & 0o444).toBe(0o444);
});
