import { unreachable } from '../../errors.ts';
import type { Disk, DiskOptions } from '../machine.ts';

/** By what QEMU knows a disk. */
export function diskNode(index: number): string {
  return `disk${index}`;
}

/** What the nodes of a disk have in common. */
function sharedBy({ readOnly, caching, sync }: DiskOptions): object {
  return {
    'read-only': readOnly,
    cache: { direct: caching === 'uncached', 'no-flush': sync === 'none' },
    discard: 'unmap',
  };
}

/** What makes a disk of what lies somewhere, as QEMU's `blockdev-add` takes it. */
export function blockNode(disk: Disk, node: string): object {
  const shared = sharedBy(disk);
  const raw = { driver: 'raw', 'node-name': node, 'detect-zeroes': disk.readOnly ? 'off' : 'unmap', ...shared };
  switch (disk.kind) {
    case 'file':
      return { ...raw, file: { driver: 'file', filename: disk.path, locking: 'on', ...shared } };
    case 'block-device':
      return { ...raw, file: { driver: 'host_device', filename: disk.path, ...shared } };
    case 'lazy':
      return { ...lazyNode(disk), 'node-name': node, 'detect-zeroes': raw['detect-zeroes'], ...shared };
    case 'nbd':
      return { ...raw, file: { driver: 'nbd', 'reconnect-delay': 30, ...nbdAddress(disk.url), ...shared } };
    default:
      return unreachable(disk);
  }
}

/**
 * A read waits as long as it takes: the server answers when there is something to answer, and a guest has no limit.
 */
function lazyNode({ overlay, socket, ...options }: Extract<Disk, { kind: 'lazy' }>): object {
  const base = { driver: 'nbd', 'reconnect-delay': 30, server: { type: 'unix', path: socket }, 'read-only': true };
  return {
    driver: 'qcow2',
    file: { driver: 'file', filename: overlay, locking: 'on', ...sharedBy(options) },
    backing: { driver: 'raw', 'read-only': true, file: base },
  };
}

/** The node of a file that is a disk, by its name in the machine's directory. */
export function fileNode(path: string, { readOnly, sync, caching }: DiskOptions, node: string): object {
  return blockNode({ kind: 'file', path, readOnly, sync, caching }, node);
}

function nbdAddress(url: URL): object {
  const name = decodeURIComponent(url.pathname.replace(/^\//, ''));
  const exported = name === '' ? {} : { export: name };
  if (url.protocol.includes('unix')) {
    return { server: { type: 'unix', path: url.searchParams.get('socket') ?? '' }, ...exported };
  }
  // Without the brackets that an address of IPv6 has in a URL.
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { server: { type: 'inet', host, port: url.port === '' ? '10809' : url.port }, ...exported };
}
