import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import { PassThrough, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { TartletError, describeError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { openDisk } from '../fs/plain-file.ts';
import { SYSTEM_ENVIRONMENT, systemProgram } from '../fs/system-program.ts';
import type { Packing } from './image-kind.ts';
import { writeSparsely } from './sparse-file.ts';

export interface UnpackOptions {
  /** Most that the disk may have. */
  readonly diskBytes: number;
  /** Of the image, for messages. */
  readonly name: string;
  readonly signal: AbortSignal;
}

/**
 * Unpacks an image to a new file: gzip by Node, the others by the programs of their names.
 *
 * @throws TartletError `MEDIA_UNSUPPORTED` for one that is damaged, `HOST_LACKS` without the program, `SIZE_MISMATCH`,
 * `DISK_*`
 */
export async function unpackFile(from: string, by: Packing, to: string, options: UnpackOptions): Promise<void> {
  const source = await onDisk('read', from, async () => openDisk(from));
  try {
    if (by === 'gzip') {
      await writeSparsely(to, explained(gunzipped(source, options.signal), options), options);
      return;
    }
    await byProgram(by, source.fd, to, options);
  } finally {
    await source.close();
  }
}

/** Begins when it is read: before, an error of it would find no one. */
async function* gunzipped(source: FileHandle, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const unpacker = createGunzip();
  const packed = source.createReadStream({ autoClose: false, signal });
  packed.on('error', (error) => unpacker.destroy(error)).pipe(unpacker);
  yield* unpacker as AsyncIterable<Uint8Array>;
}

async function byProgram(by: 'xz' | 'zstd', fd: number, to: string, options: UnpackOptions): Promise<void> {
  const program = systemProgram(by);
  if (program === undefined) {
    throw new TartletError('HOST_LACKS', `${options.name} is packed by ${by}, which is not installed`, {
      subject: options.name,
      next: { kind: 'install-unpacker', program: by },
    });
  }
  const child = spawn(program, ['-dc'], { stdio: [fd, 'pipe', 'ignore'], env: SYSTEM_ENVIRONMENT });
  // Read at once: Node throws away what an ended program has left unread.
  const output = (child.stdout ?? Readable.from([])).pipe(new PassThrough());
  // What it says on stderr names no file that the user knows: whether it failed is enough.
  const ended = once(child, 'close') as Promise<[number | null]>;
  ended.catch(() => undefined);
  const stop = (): void => void child.kill('SIGKILL');
  options.signal.addEventListener('abort', stop);
  try {
    await writeSparsely(to, explained(output, options), options);
    const [status] = await ended;
    options.signal.throwIfAborted();
    if (status !== 0) throw damaged(options.name, `${by} cannot unpack it`);
  } finally {
    options.signal.removeEventListener('abort', stop);
    stop();
  }
}

async function* explained(
  pieces: AsyncIterable<Uint8Array>,
  { name, signal }: UnpackOptions,
): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (cause) {
    signal.throwIfAborted();
    throw damaged(name, describeError(cause));
  }
}

function damaged(name: string, why: string): TartletError {
  return new TartletError('MEDIA_UNSUPPORTED', `no VM can be made from ${name}: it is damaged (${why})`, {
    subject: name,
    kept: 'nothing was made',
    next: { kind: 'fetch-image-anew' },
  });
}
