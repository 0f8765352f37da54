import { close, constants, open } from 'node:fs';
import { Socket } from 'node:net';
import { promisify } from 'node:util';
import { onDisk } from '../fs/disk-error.ts';

const opened = promisify(open);
const closed = promisify(close);

/**
 * Opens one end of a named pipe, waiting for the other end. Node's file functions would read and write it on threads
 * that nothing can interrupt, not even the end of the process: here a pipe is a socket, and an abort ends the wait for
 * the other end.
 */
export async function openPipe(path: string, end: 'read' | 'write', signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  // Both ends are there for a moment then, and the waiting is over.
  const wake = (): void => void beOtherEnd(path, end);
  signal.addEventListener('abort', wake, { once: true });
  const fd = await onDisk('open', path, async () => opened(path, end === 'read' ? 'r' : 'w')).finally(() =>
    signal.removeEventListener('abort', wake),
  );
  if (signal.aborted) await closed(fd);
  signal.throwIfAborted();
  return new Socket({ fd, readable: end === 'read', writable: end === 'write' });
}

async function beOtherEnd(path: string, end: 'read' | 'write'): Promise<void> {
  const flags = (end === 'read' ? constants.O_WRONLY : constants.O_RDONLY) | constants.O_NONBLOCK;
  try {
    await closed(await opened(path, flags));
  } catch {
    // This open is not waited for any more: the pipe is open, or gone.
  }
}
