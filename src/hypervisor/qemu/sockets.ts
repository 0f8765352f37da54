import { openDirectory } from '../../fs/directory.ts';
import { throughDescriptor } from '../../fs/trusted-path.ts';
import { QemuFile } from './qemu-file.ts';

/**
 * A socket of a machine, by a path that is short enough, however long that of its directory is (108 bytes are the
 * limit, unix(7)).
 */
export interface ShortPath {
  readonly path: string;
  close(): Promise<void>;
}

/**
 * Where QEMU's guest agent answers. @throws as `openDirectory`: an error of the system when the directory is not there.
 */
export async function agentSocket(directory: string): Promise<ShortPath> {
  return socketIn(directory, QemuFile.agent);
}

/** Where QEMU itself takes requests, one conversation at a time. @throws as {@link agentSocket} */
export async function requestSocket(directory: string): Promise<ShortPath> {
  return socketIn(directory, QemuFile.requests);
}

/** A socket of another name. @throws as {@link agentSocket} */
export async function socketIn(directory: string, name: string): Promise<ShortPath> {
  const handle = await openDirectory(directory);
  return { path: `${throughDescriptor(handle.fd)}/${name}`, close: async () => handle.close() };
}
