import { randomInt } from 'node:crypto';
import { open } from 'node:fs/promises';
import { findProgram } from '../../fs/system-program.ts';

/** The kernel's side of a guest's vsock. */
const VHOST_VSOCK = '/dev/vhost-vsock';

/** 0 to 2 are taken, and the last means any (vsock(7)). */
const FIRST_CID = 3;
const END_OF_CIDS = 2 ** 32 - 1;

/** What this host has for the vsock of a guest. */
export interface Vsock {
  /** The program that connects to it. */
  readonly socat: string;
  /** A number for one guest: the kernel refuses one that is in use, and of four thousand million none is met twice. */
  readonly cid: number;
}

/**
 * Finds out whether guests can have a vsock that is of use: the device really opens, which its permissions alone do not
 * say, and there is a program that connects to it.
 *
 * @param searchPath the environment's `PATH`.
 */
export async function findVsock(searchPath: string, device = VHOST_VSOCK): Promise<Vsock | undefined> {
  try {
    await (await open(device, 'r+')).close();
  } catch {
    return undefined; // Not there, without a driver, or not for this user: then QEMU would not start.
  }
  const socat = await findProgram(searchPath, 'socat');
  return socat === undefined ? undefined : { socat, cid: randomInt(FIRST_CID, END_OF_CIDS) };
}
