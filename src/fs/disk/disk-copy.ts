import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { constants, copyFile, type FileHandle, stat } from 'node:fs/promises';
import { systemCode, TartletError } from '../../errors.ts';
import { throughDirectory } from '../directory.ts';
import { diskError, onDisk } from '../disk-error.ts';
import { createFile } from '../entry.ts';
import { writeNewFile } from '../fsync.ts';
import { openDisk } from '../plain-file.ts';
import { removeEntry } from '../remove.ts';
import { readSmallFile } from '../small-file.ts';
import { SYSTEM_ENVIRONMENT, systemProgram } from '../system-program.ts';
import { throughDescriptor } from '../trusted-path.ts';

/** How a disk was copied: sharing its blocks with the source, or by writing what is not zero. */
export type CopyMethod = 'reflink' | 'sparse';

/**
 * At most this much is written at once: larger single writes are several times slower on fresh files (performance.md
 * §4).
 */
const PIECE_BYTES = 256 * 1024;

const BLOCK_BYTES = 4096;

/** The numbers of the descriptors that a child inherits beside its standard streams. */
const [FROM, TO] = [3, 4];

export interface CopyOptions {
  readonly signal?: AbortSignal | undefined;
  /** `linux` lets coreutils skip the holes of the source without reading them. */
  readonly platform: NodeJS.Platform;
}

/**
 * Copies a disk image to a new file without ever inflating it: by a reflink where the file system shares blocks,
 * otherwise hole by hole. Node's own `copyFile` would turn 32 MiB of data into 1 GiB of blocks (dependencies.md §5).
 */
export async function copyDisk(from: string, to: string, options: CopyOptions): Promise<CopyMethod> {
  if (await shareDisk(from, to)) return 'reflink';
  options.signal?.throwIfAborted();
  if (options.platform !== 'linux' || !(await copyByCoreutils(from, to, options.signal))) {
    await removeEntry(to);
    await copySparsely(from, to, options.signal);
  }
  return 'sparse';
}

/**
 * Makes a new file that shares its blocks with another one until one of the two is written to.
 * @returns false where the file system cannot, or they lie on two; nothing is then at `to`.
 * @throws TartletError `DISK_*`, of the source when it cannot be read.
 */
export async function shareDisk(from: string, to: string): Promise<boolean> {
  const source = await onDisk('read', from, async () => openDisk(from));
  try {
    const way = throughDescriptor(source.fd);
    const isWay = existsSync(way);
    await throughDirectory(to, async (entry) =>
      copyFile(isWay ? way : from, entry, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL),
    );
    if (!isWay) await requireStill(source, from, to);
    return true;
  } catch (cause) {
    if (cause instanceof TartletError) throw cause;
    if (!['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOSYS', 'ENOTTY'].includes(systemCode(cause) ?? '')) {
      throw await copyError(cause, from, to);
    }
    await removeEntry(to);
    return false;
  } finally {
    await source.close();
  }
}

/** Where nothing leads through a descriptor, the copy is of the path: what lies there must still be what was opened. */
async function requireStill(source: FileHandle, from: string, to: string): Promise<void> {
  const [opened, there] = await Promise.all([source.stat(), stat(from)]);
  if (opened.ino === there.ino && opened.dev === there.dev) return;
  await removeEntry(to);
  throw new TartletError('BUSY', `${from} is being replaced by another command`, { subject: from, retryable: true });
}

/** Why a copy failed: the system's code does not tell which of the two files it is about. */
async function copyError(cause: unknown, from: string, to: string): Promise<TartletError> {
  try {
    await (await openDisk(from)).close();
  } catch (reading) {
    return diskError(reading, 'read', from);
  }
  return diskError(cause, `copy ${from} to`, to);
}

/**
 * Copies a file of a few megabytes at most to a new file, and fsyncs it.
 * @returns its bytes. @throws TartletError `DISK_*`, of the file that it is about.
 */
export async function copySmallFile(from: string, to: string): Promise<Uint8Array> {
  const bytes = await readSmallFile(from);
  await writeNewFile(to, bytes);
  return bytes;
}

/** @returns false when there is no `cp`, it cannot (busybox), or failed: the copy that follows will say why. */
async function copyByCoreutils(from: string, to: string, signal: AbortSignal | undefined): Promise<boolean> {
  const program = systemProgram('cp');
  if (program === undefined) return false;
  const source = await onDisk('read', from, async () => openDisk(from));
  try {
    const { mode } = await onDisk('read', from, async () => source.stat());
    const target = await onDisk('create', to, async () => createFile(to, 'refuse', mode & 0o777));
    try {
      return await runCp(program, source, target, signal);
    } catch (cause) {
      signal?.throwIfAborted();
      if (systemCode(cause) === 'ENOENT') return false;
      throw diskError(cause, `copy ${from} to`, to);
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** It inherits both descriptors: what it would find at the paths may be other files by then. */
async function runCp(
  program: string,
  source: FileHandle,
  target: FileHandle,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { mode } = await target.stat();
  await target.chmod((mode & 0o777) | 0o200); // It opens the file anew.
  const child = spawn(
    program,
    ['--sparse=always', '--reflink=never', '--', throughDescriptor(FROM), throughDescriptor(TO)],
    {
      stdio: ['ignore', 'ignore', 'ignore', source.fd, target.fd],
      env: SYSTEM_ENVIRONMENT,
      signal,
    },
  );
  const [status] = (await once(child, 'close')) as [number | null];
  await target.chmod(mode & 0o777);
  return status === 0;
}

/**
 * Reads everything and writes what is not zero, at its place. @internal exported for its test: Linux mostly leaves this
 * to `cp`.
 */
export async function copySparsely(from: string, to: string, signal?: AbortSignal): Promise<void> {
  const source = await onDisk('read', from, async () => openDisk(from));
  try {
    const target = await onDisk('create', to, async () => createFile(to, 'refuse'));
    try {
      await copyPieces({ file: source, path: from }, { file: target, path: to }, signal);
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

interface OpenFile {
  readonly file: FileHandle;
  readonly path: string;
}

async function copyPieces(source: OpenFile, target: OpenFile, signal: AbortSignal | undefined): Promise<void> {
  const { size } = await onDisk('read', source.path, async () => source.file.stat());
  await onDisk('write', target.path, async () => target.file.truncate(size));
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  const zeros = Buffer.alloc(PIECE_BYTES);
  for (let at = 0; at < size; ) {
    signal?.throwIfAborted();
    const place = at;
    const { bytesRead } = await onDisk('read', source.path, async () =>
      source.file.read(buffer, 0, PIECE_BYTES, place),
    );
    if (bytesRead === 0) break; // The source shrank while we read: its owner is writing to it.
    for (const [from, to] of dataRuns(buffer.subarray(0, bytesRead), zeros)) {
      const piece = buffer.subarray(from, to);
      await onDisk('write', target.path, async () => writeFully(target.file, piece, place + from));
    }
    at += bytesRead;
  }
}

/**
 * Where a piece is not zero, in whole blocks of the file system: a coarser look would fill holes that the source has.
 */
function* dataRuns(piece: Buffer, zeros: Buffer): Generator<[number, number]> {
  if (piece.equals(zeros.subarray(0, piece.length))) return;
  let from = -1;
  for (let at = 0; at < piece.length; at += BLOCK_BYTES) {
    const block = piece.subarray(at, at + BLOCK_BYTES);
    const zero = block.equals(zeros.subarray(0, block.length));
    if (!zero && from < 0) from = at;
    if (zero && from >= 0) {
      yield [from, at];
      from = -1;
    }
  }
  if (from >= 0) yield [from, piece.length];
}

/** `write` may take less than it was given without an error, e.g. on a full disk (reliability D6). */
async function writeFully(target: FileHandle, piece: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < piece.length; ) {
    const { bytesWritten } = await target.write(piece, done, piece.length - done, at + done);
    done += bytesWritten;
  }
}
