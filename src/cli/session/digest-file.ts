import { randomUUID } from 'node:crypto';
import { access, constants, realpath, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { TartletError } from '../../errors.ts';
import type { Hint } from '../../hint.ts';
import { diskError, ignoreMissing } from '../../fs/disk-error.ts';
import { statIfThere } from '../../fs/stats.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { resolvePath, type Terminal } from '../terminal/terminal.ts';

/** The file of `--digestfile`. */
export interface DigestFile {
  /**
   * Writes it, whole or not at all: digests, one a line, without a line break at the end, as skopeo and Podman write
   * them.
   *
   * @param mode of a new file; undefined: what the umask leaves of 0666.
   */
  write(digests: readonly string[], mode: number | undefined): Promise<void>;
}

const NEXT: Hint = { kind: 'in-words', words: 'name a file in a directory that is there and can be written to' };

/**
 * Looks at once whether the file can be written: hours later the image would be in the registry, and its digest lost.
 * @throws TartletError `DISK_*`, `USAGE` for a directory.
 */
export async function digestFile(terminal: Terminal, text: string): Promise<DigestFile> {
  const typed = resolvePath(terminal, text);
  try {
    // Where a symlink leads, so that it stays a symlink.
    const file = (await realpath(typed).catch(ignoreMissing)) ?? typed;
    const found = await statIfThere(file);
    if (found?.isDirectory() === true)
      throw new TartletError('USAGE', `--digestfile ${text} is a directory`, { next: NEXT });
    // A pipe or a device is written to, and never replaced: as root, a rename would put a file in the place of
    // /dev/null.
    const replaced = found === undefined || found.isFile();
    if (replaced) await access(path.dirname(file), constants.W_OK | constants.X_OK);
    return {
      write: async (digests, mode) =>
        write(file, digests, async (lines) => (replaced ? replace(file, lines, mode) : writeFile(file, lines))),
    };
  } catch (cause) {
    throw cannotWrite(cause, typed);
  }
}

async function write(file: string, digests: readonly string[], how: (text: string) => Promise<void>): Promise<void> {
  try {
    await how(digests.join('\n'));
  } catch (cause) {
    throw cannotWrite(cause, file).with({ kept: `the image is in the registry: ${digests.join(', ')}` });
  }
}

function cannotWrite(cause: unknown, file: string): TartletError {
  const { code, message, facts } = diskError(cause, 'write the digest to', file);
  return new TartletError(code, message, { ...facts, next: NEXT });
}

async function replace(file: string, text: string, mode: number | undefined): Promise<void> {
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${randomUUID()}`);
  await replaceFile(file, {
    temporary,
    mode,
    write: async (handle) => handle.writeFile(text),
    explain: (cause) => diskError(cause, 'write the digest to', file),
  });
}
