import { createHash } from 'node:crypto';
import { listenOnce } from './listen-once.ts';

/*
 * In user-mode networking all guests share the host's addresses. So that each VM has an address of its own, on which
 * its port 22 is port 22, it gets one of 127.64.0.0/10, of which all belong to this host (run-fleet-demand §b.2,
 * vm-run.md §2).
 */

/** Addresses of 127.64.0.0/10, without the first and the last of each 256. */
const HOSTS = 254;

/**
 * The loopback address of a VM: always the same for a name, as far as it is free.
 * @param attempt 0 for the first choice.
 * @internal exported for its test.
 */
export function ownAddress(name: string, attempt: number): string {
  const hash = createHash('sha256').update(`${name}\0${attempt}`).digest();
  const [a = 0, b = 0, c = 0] = hash;
  return `127.${64 + (a & 63)}.${b}.${1 + (c % HOSTS)}`;
}

/** Where the guest's SSH port is reached. */
export interface SshDoor {
  readonly address: string;
  readonly port: number;
}

/** Different addresses that are tried before a port other than 22 has to do. */
const ATTEMPTS = 4;

/**
 * Finds where port 22 of a VM can be reached: port 22 of an address of its own, where this process may listen there,
 * else a free port of 127.0.0.1. A server of the host that listens on all addresses, as SSH does, has all of them
 * (EADDRINUSE), and ports below 1024 may be for root only (EACCES).
 */
export async function findSshDoor(name: string): Promise<SshDoor> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const address = ownAddress(name, attempt);
    if ('port' in (await listenOnce('tcp', address, 22))) return { address, port: 22 };
  }
  for (const address of [ownAddress(name, 0), '127.0.0.1']) {
    const tried = await listenOnce('tcp', address, 0);
    if ('port' in tried) return { address, port: tried.port };
  }
  return { address: '127.0.0.1', port: 0 };
}
