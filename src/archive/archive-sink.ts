import { randomUUID } from 'node:crypto';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { TartletError } from '../errors.ts';
import { diskError, onDisk } from '../fs/disk-error.ts';
import { statIfThere } from '../fs/stats.ts';
import { replaceFile } from '../fs/replace-file.ts';
import type { Session } from '../session/session.ts';
import { openPipe } from './named-pipe.ts';
import { replaceLeftovers } from './export-leftover.ts';

/** Takes the bytes of an archive in order. When a write resolves, its bytes may be overwritten. */
export interface ArchiveSink {
  write(bytes: Uint8Array): Promise<void>;
}

/**
 * Runs `work` with a sink that becomes a file. Readers see the old file or the whole new one: it is written beside,
 * fsynced and renamed; when `work` fails, nothing is left. A pipe or a device of that name is written to as it is, not
 * replaced.
 *
 * @throws TartletError `DISK_*`
 */
export async function withArchiveFile<T>(
  file: string,
  { signal, fileMode: mode }: Pick<Session, 'signal' | 'fileMode'>,
  work: (sink: ArchiveSink) => Promise<T>,
): Promise<T> {
  const { target, kind } = await lookAt(file);
  if (kind === 'device') return withDevice(target, work);
  if (kind === 'pipe') return withPipe(target, signal, work);
  const temporary = `${path.dirname(target)}/.${randomUUID()}.tartlet-export`;
  const { result } = await replaceFile(target, {
    temporary,
    mode,
    write: async (handle) => {
      await replaceLeftovers(path.dirname(target), handle);
      return work(fileSink(handle, target));
    },
  });
  return result;
}

/**
 * A stream as a sink. Each write waits until its bytes have left, so that memory stays small and no failure is missed;
 * an abort ends the waiting.
 */
export function streamSink(stream: Writable, name: string, signal: AbortSignal): ArchiveSink {
  return {
    write: async (bytes) =>
      new Promise((resolve, reject) => {
        const abort = (): void => reject(signal.reason as Error);
        signal.addEventListener('abort', abort, { once: true });
        stream.write(bytes, (cause) => {
          signal.removeEventListener('abort', abort);
          if (cause === undefined || cause === null) resolve();
          else reject(diskError(cause, 'write to', name));
        });
      }),
  };
}

async function withPipe<T>(pipe: string, signal: AbortSignal, work: (sink: ArchiveSink) => Promise<T>): Promise<T> {
  const socket = await openPipe(pipe, 'write', signal);
  // Every write reports its failure by itself.
  socket.on('error', () => undefined);
  try {
    return await work(streamSink(socket, pipe, signal));
  } finally {
    socket.destroy();
  }
}

async function withDevice<T>(device: string, work: (sink: ArchiveSink) => Promise<T>): Promise<T> {
  const handle = await onDisk('open', device, async () => open(device, 'w'));
  try {
    return await work(fileSink(handle, device));
  } finally {
    await handle.close();
  }
}

function fileSink(handle: FileHandle, file: string): ArchiveSink {
  return { write: async (bytes) => writeFully(handle, bytes, file) };
}

/** A short count is no error to the system (reliability D6): the next call tells. */
async function writeFully(handle: FileHandle, bytes: Uint8Array, file: string): Promise<void> {
  await onDisk('write', file, async () => {
    for (let done = 0; done < bytes.length; ) {
      done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten;
    }
  });
}

/** What is there now. A symlink stays one: the file that it leads to is replaced. */
async function lookAt(file: string): Promise<{ target: string; kind: 'file' | 'pipe' | 'device' }> {
  const stats = await statIfThere(file);
  if (stats === undefined) {
    await requireDirectory(path.dirname(file));
    return { target: file, kind: 'file' };
  }
  if (stats.isDirectory()) {
    throw new TartletError('USAGE', `${file} is a directory`, {
      subject: file,
      next: { kind: 'name-file-in-directory' },
    });
  }
  if (stats.isFIFO()) return { target: file, kind: 'pipe' };
  if (!stats.isFile()) return { target: file, kind: 'device' };
  return { target: await onDisk('look at', file, async () => realpath(file)), kind: 'file' };
}

async function requireDirectory(directory: string): Promise<void> {
  if ((await statIfThere(directory))?.isDirectory() === true) return;
  throw new TartletError('NOT_FOUND', `there is no directory ${directory}`, {
    subject: directory,
    next: { kind: 'make-directory' },
  });
}
