import type { RegistryClient } from '../registry/client.ts';
import { readWindow } from './disk-window.ts';

/** A stretch of a file on this machine, in bytes: a whole file, or an entry of a tar file. */
export interface FileStretch {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

/** A stretch of a file in the place of a registry that has one blob. */
export function clientOfFile({ path, offset, size }: FileStretch): Pick<RegistryClient, 'blob'> {
  return {
    blob: async function* blob(_descriptor, { signal, onBytes } = {}) {
      for await (const piece of readWindow(path, offset, size, signal ?? new AbortController().signal)) {
        onBytes?.(piece.length);
        yield piece;
      }
    },
  };
}
