import { mkdirSync, readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { writeRunRecord } from '../../src/home/vms/run-record.ts';
import { temporaryDirectory } from '../support/directory.ts';

it('the record of a run says by a code of the disk that a directory has its place, and leaves nothing beside it', async () => {
  const directory = temporaryDirectory();
  mkdirSync(`${directory}/run.json`);
  const record = {
    version: 1,
    pid: 1,
    began: '',
    network: { kind: 'bridged', mac: '' },
    startedAt: 0,
    notSuspendable: undefined,
  } as const;
  await expect(writeRunRecord(directory, record)).rejects.toMatchObject({
    code: expect.stringMatching(/^DISK_/),
    message: expect.stringContaining(`${directory}/run.json`),
  });
  expect(readdirSync(directory)).toEqual(['run.json']);
});
