import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { findLockOwner } from '../../../src/fs/lock/lock-owner.ts';
import { LocalName } from '../../../src/names/local-name.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { freshSession, plantVm } from '../../support/home.ts';

it('a VM that was deleted since it was looked for is locked by no process, and no fault of the disk (P16)', async () => {
  const vm = `${temporaryDirectory()}/vm`;
  mkdirSync(vm);
  writeFileSync(`${vm}/config.json`, '{}');
  expect(await findLockOwner(`${vm}/config.json`, 'linux')).toEqual({ kind: 'none' });
  rmSync(`${vm}/config.json`);
  expect(await findLockOwner(`${vm}/config.json`, 'linux')).toEqual({ kind: 'none' });
  rmSync(vm, { recursive: true });
  expect(await findLockOwner(`${vm}/config.json`, 'linux')).toEqual({ kind: 'none' });
});

it('a VM that is replaced between two looks at it is no damaged one (P16)', async () => {
  const session = freshSession();
  const name = LocalName.parse('vm');
  plantVm(session.vms.pathOf(name));
  const find = session.vms.find.bind(session.vms);
  let looks = 0;
  session.vms.find = (asked) => {
    looks += 1;
    // Deleted, and made anew just after.
    return looks === 1 ? undefined : find(asked);
  };
  expect((await session.vms.require(name)).name.text).toBe('vm');
});

it('a VM that is deleted before it can be held is not there, and no fault of the disk (P16)', async () => {
  const session = freshSession();
  const name = LocalName.parse('vm');
  plantVm(session.vms.pathOf(name));
  const vm = await session.vms.require(name);
  rmSync(session.vms.pathOf(name), { recursive: true });
  await expect(session.vms.hold(vm)).rejects.toMatchObject({ code: 'VM_NOT_FOUND' });
});
