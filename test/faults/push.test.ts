import { appendFileSync, writeFileSync } from 'node:fs';
import { expect } from 'vitest';
import { startMeddlingRegistry } from '../support/meddling-registry.ts';
import { row } from './row.ts';

row('C33', 'a disk that changes while it is pushed is not given a name', async (world) => {
  const registry = await startMeddlingRegistry();
  const disk = `${world.home.vmsDirectory}/mine/disk.img`;
  registry.meddle = (request) => {
    if (request.method === 'PUT') appendFileSync(disk, 'one more block');
    return false;
  };
  const { exitCode, stderr } = await world.run('push', 'mine', `${registry.at}/org/mine:1`);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/^error\[CHUNK_CORRUPT\]: \S+\/mine\/disk\.img was changed while it was being pushed\.$/m);
  expect(stderr).toContain('no tag was moved');
  expect(await registry.get('/v2/org/mine/manifests/1')).toBeUndefined();
  // It was the row that wrote: the user's disk is as they left it.
  writeFileSync(disk, 'my disk');
});
