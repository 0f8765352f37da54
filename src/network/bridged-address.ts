import { connect } from 'node:net';
import { systemCode } from '../errors.ts';
import { type Lease, leasesOf } from './leases.ts';
import type { Neighbour } from './neighbours.ts';

/** What a host knows of the guests on its bridges. */
export interface BridgeView {
  /** Of all DHCP servers of this host. */
  leases(): Promise<readonly GivenLease[]>;
  neighbours(): Promise<readonly Neighbour[]>;
  /** Whether a machine answers at an address. */
  answers(address: string): Promise<boolean>;
  /** Milliseconds since 1970. */
  now(): number;
}

/** A lease, and when it was given, in milliseconds since 1970, where that is known. */
export interface GivenLease extends Lease {
  readonly givenAt?: number;
}

/** Which guest is looked for. */
export interface BridgedGuest {
  readonly mac: string;
  /** When its run began, in milliseconds since 1970. */
  readonly startedAt: number;
}

/**
 * So long after it has got an address a guest that says nothing at port 22 is believed to drop what comes there, in
 * milliseconds.
 */
const SETTLED_MS = 10_000;

/**
 * The address at which a guest on a bridge answers now. Leases and neighbours outlive the guest that had them, and
 * another guest may have its address since: an address is believed only when a machine answers there and is the one
 * with this MAC.
 *
 * @param from `leases`: the DHCP servers' word, then the neighbours'; `neighbours`: theirs alone.
 * @returns undefined while it answers nowhere.
 */
export async function bridgedAddress(
  view: BridgeView,
  guest: BridgedGuest,
  from: 'leases' | 'neighbours',
): Promise<string | undefined> {
  const leases = from === 'leases' ? leasesOf(await view.leases(), guest.mac, view.now()) : [];
  const leased = leases.map(({ address }) => address);
  const seen = (await view.neighbours()).filter(({ mac }) => mac === guest.mac.toLowerCase());
  const candidates = new Set([...leased, ...seen.map(({ address }) => address)]);
  for (const address of candidates) {
    const answers = await view.answers(address);
    // Asked afterwards: the question itself makes the kernel look for the machine.
    const isOurs = (await view.neighbours()).some(
      (entry) => entry.address === address && entry.mac === guest.mac.toLowerCase(),
    );
    if (isOurs && (answers || isSettled(leases, address, guest, view.now()))) return address;
  }
  return undefined;
}

/**
 * A guest that asked for this address in this very run, and has had time to use it: a firewall in it may drop what it
 * is asked.
 */
function isSettled(leases: readonly GivenLease[], address: string, { startedAt }: BridgedGuest, now: number): boolean {
  return leases.some(
    (lease) =>
      lease.address === address &&
      lease.givenAt !== undefined &&
      lease.givenAt >= startedAt &&
      lease.givenAt + SETTLED_MS <= now,
  );
}

/**
 * Whether a machine answers a connection to a port, with a yes or with a no.
 *
 * @param withinMs how long to wait, in milliseconds.
 */
export async function answersByTcp(address: string, port: number, withinMs: number): Promise<boolean> {
  const socket = connect({ host: address, port });
  try {
    return await new Promise<boolean>((resolve) => {
      socket.setTimeout(withinMs, () => resolve(false));
      socket.once('connect', () => resolve(true));
      socket.once('error', (error) => resolve(systemCode(error) === 'ECONNREFUSED'));
    });
  } finally {
    socket.destroy();
  }
}
