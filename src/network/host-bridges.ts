import { existsSync, readdirSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { answersByTcp, type BridgeView, type GivenLease } from './bridged-address.ts';
import { parseDnsmasqLeases, parseLibvirtLeases } from './leases.ts';
import { type Neighbour, parseNeighbours } from './neighbours.ts';

/** The leases of the network that we set up, and how long each lasts, in milliseconds. */
export const OWN_LEASES = '/var/lib/tartlet/network.leases';
export const LEASE_MS = 600_000;

/** Where distributions let dnsmasq keep its leases, and libvirt those of its bridges. */
const DNSMASQ_LEASES = ['/var/lib/misc/dnsmasq.leases', '/var/lib/dnsmasq/dnsmasq.leases'];
const LIBVIRT_LEASES = '/var/lib/libvirt/dnsmasq';

const INTERFACES = '/sys/class/net';
const SSH_PORT = 22;
const ANSWER_WITHIN_MS = 1000;

/** The names of this host's bridges, in their order. On systems without Linux's `/sys` there are none. */
export function bridgesHere(): string[] {
  try {
    return readdirSync(INTERFACES)
      .filter((name) => existsSync(`${INTERFACES}/${name}/bridge`))
      .sort();
  } catch {
    return [];
  }
}

/** What this host knows of guests on bridges. @param now milliseconds since 1970. */
export function hostView(now: () => number): BridgeView {
  return {
    leases: leasesHere,
    neighbours: neighboursHere,
    answers: async (address) => answersByTcp(address, SSH_PORT, ANSWER_WITHIN_MS),
    now,
  };
}

/** A file that is not there, or not for us, has no leases. */
async function leasesHere(): Promise<GivenLease[]> {
  const own = parseDnsmasqLeases(await textOf(OWN_LEASES)).map((lease) =>
    lease.expiresAt === undefined ? lease : { ...lease, givenAt: lease.expiresAt - LEASE_MS },
  );
  const ofDnsmasq = await Promise.all(DNSMASQ_LEASES.map(async (file) => parseDnsmasqLeases(await textOf(file))));
  const names = await readdir(LIBVIRT_LEASES).catch(() => []);
  const ofLibvirt = await Promise.all(
    names
      .filter((name) => name.endsWith('.status'))
      .map(async (name) => parseLibvirtLeases(await textOf(`${LIBVIRT_LEASES}/${name}`))),
  );
  return [...own, ...ofDnsmasq.flat(), ...ofLibvirt.flat()];
}

async function neighboursHere(): Promise<Neighbour[]> {
  return parseNeighbours(await textOf('/proc/net/arp'));
}

async function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}
