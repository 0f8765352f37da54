import type { Writable } from 'node:stream';

/**
 * Does work during which a failing stream ends nothing: neither the command, as a reader that went away does otherwise,
 * nor the process. A caller that needs to know asks each write.
 */
export async function withoutErrorListeners<T>(stream: Writable, work: () => Promise<T>): Promise<T> {
  const listeners = stream.rawListeners('error') as ((error: Error) => void)[];
  stream.removeAllListeners('error');
  stream.on('error', ignore);
  try {
    return await work();
  } finally {
    stream.off('error', ignore);
    for (const listener of listeners) stream.on('error', listener);
  }
}

function ignore(): void {}
