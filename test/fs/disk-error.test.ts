import { describe, expect, it } from 'vitest';
import { fileError } from '../../src/credentials/secret-file.ts';
import { diskCode, diskError, isMissing } from '../../src/fs/disk-error.ts';
import { failFsync, systemError } from '../support/fsync-fault.ts';
import { sha256, startRegistry } from '../server/running-registry.ts';

/** EDQUOT of Linux and of macOS, for which libuv has no name. */
const QUOTA = `Unknown system error -${process.platform === 'darwin' ? 69 : 122}`;

describe('one table says what a code of the system means', () => {
  it.each([
    ['ENOSPC', 'DISK_FULL'],
    ['EDQUOT', 'DISK_FULL'],
    [QUOTA, 'DISK_FULL'],
    ['EROFS', 'DISK_READONLY'],
    ['EACCES', 'DISK_DENIED'],
    ['EPERM', 'DISK_DENIED'],
    ['EOPNOTSUPP', 'DISK_UNSUPPORTED'],
    ['ENAMETOOLONG', 'DISK_UNSUPPORTED'],
    ['EIO', 'DISK_IO'],
  ])('%s is %s, also in files of logins', (system, code) => {
    expect(diskCode(systemError(system))).toBe(code);
    expect(diskError(systemError(system), 'write', '/a').code).toBe(code);
    expect(fileError(systemError(system), 'write', '/a').code).toBe(code);
  });

  it('a full disk is told as such where logins are written, with what helps', () => {
    expect(fileError(systemError(QUOTA), 'write', '/a')).toMatchObject({
      message: 'cannot write /a: the quota is used up',
      facts: { subject: '/a', next: { kind: 'free-space' } },
    });
    expect(fileError(systemError('EACCES'), 'read', '/a').facts.next).toEqual({
      kind: 'check-permissions',
      path: '/a',
    });
  });

  it('what is not there is told by the system and by our error of it', () => {
    expect(isMissing(systemError('ENOENT'))).toBe(true);
    expect(isMissing(diskError(systemError('ENOTDIR'), 'read', '/a'))).toBe(true);
    expect(isMissing(systemError('EACCES'))).toBe(false);
    expect(isMissing(undefined)).toBe(false);
  });
});

it('a registry whose quota is used up says that it is full (D5)', async () => {
  const { begin, send } = await startRegistry();
  const target = `${await begin('org/image')}?digest=${sha256('content')}`;
  await failFsync('files', QUOTA);
  expect((await send('PUT', target, { body: 'content' })).status).toBe(507);
});
