import { describe, expect, test } from 'vitest';
import { isGroupOfOne } from '../../src/home/own-file.ts';

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
  test.each<[string, number, number, boolean]>([
    ['of its user alone', 1000, 1000, true],
    ['that names another user', 1001, 1005, false],
    ['that names its user alone', 1000, 1005, true],
    ['of another user', 1000, 1001, false],
    ['of its user, which names another one', 1001, 1001, false],
    ['that is the first one of another user', 1000, 100, false],
    ['that is the first one of its user', 1002, 100, true],
    ['without anybody', 1000, 1006, true],
    ['of somebody whom this machine does not know', 1000, 1007, false],
    ['of two names', 1000, 1008, false],
    ['that this machine does not know', 1000, 5000, false],
    ['of root', 0, 0, true],
  ])('%s', (_, uid, gid, isOfOne) => {
    expect(isGroupOfOne(GROUPS, USERS, { uid, gid })).toBe(isOfOne);
  });
});
