import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { withArchiveFile } from '../../src/archive/archive-sink.ts';
import { digestFile } from '../../src/cli/session/digest-file.ts';
import type { Terminal } from '../../src/cli/terminal/terminal.ts';
import { changeSecretFile } from '../../src/credentials/secret-file-edit.ts';
import { fsyncDirectory, rawFsyncDirectory } from '../../src/fs/fsync.ts';
import { publishDirectory } from '../../src/fs/publish.ts';
import { replaceFile } from '../../src/fs/replace-file.ts';
import { DataDirectory } from '../../src/server/store/data-directory.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { leaveOut } from '../support/left-out.ts';
import { failFsync } from '../support/fsync-fault.ts';

let directory: string;

beforeEach(() => {
  directory = temporaryDirectory();
});

it('a file is replaced by a whole one, and nothing is left beside it', async () => {
  writeFileSync(`${directory}/file`, 'old');
  const { isReplaced, result } = await replaceFile(`${directory}/file`, {
    temporary: `${directory}/.new`,
    mode: 0o600,
    write: async (handle) => {
      await handle.writeFile('new');
      return readFileSync(`${directory}/file`, 'utf8');
    },
  });
  expect({ isReplaced, result }).toEqual({ isReplaced: true, result: 'old' });
  expect(readdirSync(directory)).toEqual(['file']);
  expect(readFileSync(`${directory}/file`, 'utf8')).toBe('new');
  expect(statSync(`${directory}/file`).mode & 0o777).toBe(0o600);
});

it('the old file stays when writing fails, when it is not confirmed, and when the disk does not take the new one', async () => {
  const [file, temporary] = [`${directory}/file`, `${directory}/.new`];
  const write = async (): Promise<void> => undefined;
  writeFileSync(file, 'old');
  const failure = new Error('the writer failed');
  await expect(replaceFile(file, { temporary, write: async () => Promise.reject(failure) })).rejects.toBe(failure);
  expect(await replaceFile(file, { temporary, write, confirm: async () => false })).toMatchObject({
    isReplaced: false,
  });
  await failFsync('files', 'ENOSPC');
  await expect(replaceFile(file, { temporary, write })).rejects.toMatchObject({
    code: 'DISK_FULL',
    message: `cannot write ${file}: no space left on the device`,
  });
  expect(readdirSync(directory)).toEqual(['file']);
  expect(readFileSync(file, 'utf8')).toBe('old');
});

describe('where the file system cannot fsync a directory, what is written beside and renamed counts as written (D20)', () => {
  it.skipIf(process.platform !== 'linux')('a file system that answers EINVAL: proc', async () => {
    await expect(rawFsyncDirectory('/proc/self/task')).resolves.toBeUndefined();
    await expect(fsyncDirectory('/proc/self/task')).resolves.toBeUndefined();
  });

  for (const code of ['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM']) {
    it(`each writer goes on after ${code}`, async () => {
      const failed = await failFsync('directories', code);
      await changeSecretFile(`${directory}/.docker/config.json`, {
        uid: process.getuid?.(),
        lockFile: async () => undefined,
        change: () => '{}',
      });
      const afterSecrets = failed();
      await withArchiveFile(
        `${directory}/vm.tar`,
        { signal: new AbortController().signal, fileMode: undefined },
        async (sink) => sink.write(Buffer.from('whole')),
      );
      const afterArchive = failed();
      await (await digestFile({ workingDirectory: directory } as Terminal, 'digest')).write(['sha256:1'], undefined);
      const afterDigest = failed();
      const data = new DataDirectory(`${directory}/data`);
      await data.make();
      await data.prepare();
      await data.write(`${data.blobs}/a/b`, 'content');
      await data.remove(`${data.blobs}/a/b`);
      const afterData = failed();
      writeFileSync(`${data.staging}/x`, '');
      await publishDirectory(data.staging, `${directory}/published/here`, directory);
      expect(readFileSync(`${directory}/.docker/config.json`, 'utf8')).toBe('{}');
      expect(readFileSync(`${directory}/vm.tar`, 'utf8')).toBe('whole');
      expect(readFileSync(`${directory}/digest`, 'utf8')).toBe('sha256:1');
      expect(existsSync(`${directory}/published/here/x`)).toBe(true);
      // Each of them asked for it.
      const counts = [0, afterSecrets, afterArchive, afterDigest, afterData, failed()];
      expect(counts.every((count, index) => index === 0 || count > (counts[index - 1] ?? 0))).toBe(true);
    });
  }

  it('any other failure is told, after the file was replaced', async () => {
    await failFsync('directories', 'EIO');
    const [file, temporary] = [`${directory}/file`, `${directory}/.new`];
    const write = async (): Promise<void> => undefined;
    await expect(replaceFile(file, { temporary, write })).rejects.toMatchObject({ code: 'DISK_IO' });
    expect(readdirSync(directory)).toEqual(['file']);
  });
});

it('a directory that may not be written to is named as it is', async (context) => {
  leaveOut(context, process.getuid?.() === 0, 'root may write everywhere');
  chmodSync(directory, 0o500);
  const file = `${directory}/file`;
  const replacing = replaceFile(file, { temporary: `${directory}/.new`, write: async () => undefined });
  await expect(replacing).rejects.toMatchObject({ code: 'DISK_DENIED', facts: { subject: file } });
  chmodSync(directory, 0o700);
});
