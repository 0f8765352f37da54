import { open } from 'node:fs/promises';
import { QemuFile } from './qemu.ts';

/** A socket of a machine, by a path that is short enough, however long that of its directory is (108 bytes are the limit, unix(7)). */
export interface ShortPath {
  readonly path: string;
  close(): Promise<void>;
}

/** Where QEMU's guest agent answers. @throws an error of the system when the directory is not there. */
export async function agentSocket(directory: string): Promise<ShortPath> {
  const handle = await open(directory);
  return { path: `/proc/self/fd/${handle.fd}/${QemuFile.agent}`, close: async () => handle.close() };
}
