import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { callLibrary } from '../../src/fs/native-binding.ts';
import { isGroupOfOne, isOwnDirectory, isOwnFile, readOwnFile } from '../../src/fs/own-file.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { leaveOut } from '../support/left-out.ts';

const USERS = `root:x:0:0:root:/root:/bin/bash
ann:x:1000:1000:Ann:/home/ann:/bin/bash
ben:x:1001:1001:Ben:/home/ben:/bin/bash
cat:x:1002:100:Cat:/home/cat:/bin/bash
`;
const GROUPS = `root:x:0:
users:x:100:
ann:x:1000:
ben:x:1001:ben,ann
team:x:1005:ann
empty:x:1006:
away:x:1007:dan
twice:x:1008:
again:x:1008:ben
`;

describe('a group whose members may write to what is believed', () => {
  it.each<[string, number, number, boolean]>([
    ['of its user alone', 1000, 1000, true],
    ['that names another user', 1001, 1005, false],
    ['that names its user alone', 1000, 1005, true],
    ['of another user', 1000, 1001, false],
    ['of its user, which names another one', 1001, 1001, false],
    ['that is the first one of another user', 1000, 100, false],
    ['that is the first one of its user', 1002, 100, true],
    ['without anybody', 1000, 1006, true],
    ['of a user whom this machine does not know', 1000, 1007, false],
    ['of two names', 1000, 1008, false],
    ['that this machine does not know', 1000, 5000, false],
    ['of root', 0, 0, true],
  ])('%s', (_, uid, gid, isOfOne) => {
    expect(isGroupOfOne(GROUPS, USERS, { uid, gid })).toBe(isOfOne);
  });
});

/**
 * An access list as the kernel takes it (linux/posix_acl_xattr.h): the owner, another user, the group, the mask,
 * others.
 */
function accessList(user: number): Buffer {
  const entries = [
    [0x01, 7, 0xffffffff],
    [0x02, 7, user],
    [0x04, 5, 0xffffffff],
    [0x10, 7, 0xffffffff],
    [0x20, 5, 0xffffffff],
  ] as const;
  const list = Buffer.alloc(4 + 8 * entries.length);
  list.writeUInt32LE(2);
  for (const [at, [tag, permissions, id]] of entries.entries()) {
    list.writeUInt16LE(tag, 4 + 8 * at);
    list.writeUInt16LE(permissions, 6 + 8 * at);
    list.writeUInt32LE(id, 8 + 8 * at);
  }
  return list;
}

it('what an access list lets another user write is not believed, although its group has one user (S71)', async (context) => {
  const directory = `${temporaryDirectory()}/own`;
  const file = `${directory}/record`;
  mkdirSync(directory);
  writeFileSync(file, 'text');
  chmodSync(directory, 0o775);
  chmodSync(file, 0o664);
  leaveOut(context, !(await isOwnFile(file)), 'the group of this user has other users, or there are no access lists');
  expect((await readOwnFile(file, 10))?.toString()).toBe('text');

  const list = accessList(12_345);
  const set = (place: string): number | undefined =>
    callLibrary('setxattr', place, 'system.posix_acl_access', list, list.length, 0)?.value;
  leaveOut(context, set(file) !== 0, 'this file system has no access lists');
  expect(await readOwnFile(file, 10)).toBeUndefined();
  expect(await isOwnFile(file)).toBe(false);
  expect(await isOwnDirectory(directory)).toBe(true);
  expect(set(directory)).toBe(0);
  expect(await isOwnDirectory(directory)).toBe(false);
});
