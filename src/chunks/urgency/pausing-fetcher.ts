import type { BlobFetcher } from '../../registry/contract.ts';
import type { Pause } from './pause.ts';

/** For no more bytes than these a connection is not closed: they are on their way, as a rule. */
const LITTLE_BYTES = 64 * 1024;

/**
 * The same blobs, of which nothing comes during a pause. A sender that is only not read goes on into the buffers of
 * both systems, many megabytes of each connection, and takes that from what is urgent: so the connection is closed, and
 * another one goes on at the byte where it was. Where a registry begins anew each time, its sender is only not read.
 */
export function pausingFetcher(client: BlobFetcher, pause: Pause, littleBytes = LITTLE_BYTES): BlobFetcher {
  return {
    distrust: (blob) => client.distrust?.(blob) ?? false,
    blob: async function* blob(descriptor, { from = 0, to = descriptor.size, onBytes, ...options } = {}) {
      const { signal = new AbortController().signal } = options;
      let offset = from;
      let came = from;
      const count = (bytes: number): void => {
        came += bytes;
        onBytes?.(bytes);
      };
      do {
        await pause.pass(signal);
        for await (const piece of client.blob(descriptor, { ...options, from: offset, to, onBytes: count })) {
          offset += piece.length;
          yield piece;
          // Of what has all come the client still looks at the end.
          if (!pause.isOn || to - offset <= littleBytes) continue;
          if (came === offset) break;
          await pause.pass(signal);
        }
      } while (offset < to);
    },
  };
}
