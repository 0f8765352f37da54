import { isIPv4 } from 'node:net';

/** Behind which network card the kernel has seen an address. */
export interface Neighbour {
  readonly address: string;
  /** In lower case, with colons. */
  readonly mac: string;
}

/** Flag of an entry that has an answer (Linux, `include/uapi/linux/if_arp.h`, `ATF_COM`). */
const COMPLETE = 0x2;

/**
 * Reads the kernel's table of IPv4 neighbours (proc(5), `/proc/net/arp`): `ADDRESS TYPE FLAGS MAC MASK DEVICE` behind a
 * heading. Entries that wait for an answer are passed over; one may be minutes old and its machine gone.
 */
export function parseNeighbours(table: string): Neighbour[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [address = '', , flags = '', mac = ''] = line.split(/ +/);
      return isIPv4(address) && (Number(flags) & COMPLETE) !== 0 ? [{ address, mac: mac.toLowerCase() }] : [];
    });
}
