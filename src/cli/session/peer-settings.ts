import { stat } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { TartletError } from '../../errors.ts';
import { onDisk } from '../../fs/disk-error.ts';
import type { Hint } from '../../hint.ts';
import { readNamedFile } from '../../fs/small-file.ts';
import { type FleetKey, fleetKey } from '../../peering/fleet-key.ts';
import { parsePeerAddress } from '../../peering/peer-address.ts';
import type { MulticastOptions, PeerSearch } from '../../peering/peer-search.ts';
import { resolvePath, type Terminal } from '../terminal/terminal.ts';

/** The options about peers of commands that pull, as they were typed. */
export interface PeerFlags {
  readonly peer?: readonly string[];
  readonly peersFrom?: readonly string[];
  readonly fleetTokenFile?: string;
  /** False: none is asked, whatever the environment says. */
  readonly peers?: boolean;
}

const GIVE_TOKEN: Hint = {
  kind: 'in-words',
  words: 'set TARTLET_FLEET_TOKEN, or name the file that has it by --fleet-token-file',
};

/** Bytes. A token is a line. */
const MAX_TOKEN_FILE_BYTES = 4096;

/** Permissions of a file by which others could read it. */
const READABLE_BY_OTHERS = 0o004;

/**
 * Where a pull looks for peers: what the options say, else `TARTLET_PEERS` and `TARTLET_PEERS_FROM`.
 *
 * @returns undefined where neither says anything: then none is asked.
 * @throws TartletError `USAGE`, `CONFIG_INVALID`, `DISK_*`
 */
export async function peerSearch(terminal: Terminal, flags: PeerFlags): Promise<PeerSearch | undefined> {
  const { environment } = terminal;
  const isTyped = flags.peer !== undefined || flags.peersFrom !== undefined;
  const known = flags.peer ?? (isTyped ? [] : words(environment['TARTLET_PEERS']));
  const lists = flags.peersFrom ?? (isTyped ? [] : words(environment['TARTLET_PEERS_FROM']));
  if (flags.peers === false || known.length + lists.length === 0) return undefined;
  const isMulticast = (word: string): boolean => /^mdns(?::|$)/.test(word);
  return {
    key: await readFleetKey(terminal, flags),
    addresses: known.filter((word) => !isMulticast(word)).map(parsePeerAddress),
    lists: lists.map(parseList),
    multicast: known.filter(isMulticast).map((word) => parseMulticast(word.slice('mdns:'.length)))[0],
  };
}

/**
 * The key of the fleet: of the token in the file that was named, else in `TARTLET_FLEET_TOKEN` or the file that
 * `TARTLET_FLEET_TOKEN_FILE` names.
 *
 * @throws TartletError `CONFIG_INVALID` for none, for one that is too short, and for a file that others can read.
 */
export async function readFleetKey(terminal: Terminal, { fleetTokenFile }: PeerFlags): Promise<FleetKey> {
  const { environment } = terminal;
  const token = environment['TARTLET_FLEET_TOKEN'] ?? '';
  if (fleetTokenFile === undefined && token !== '') return fleetKey(token, 'TARTLET_FLEET_TOKEN');
  const named = fleetTokenFile ?? environment['TARTLET_FLEET_TOKEN_FILE'] ?? '';
  if (named === '') {
    throw new TartletError('CONFIG_INVALID', 'peers know each other by a fleet token, and there is none', {
      next: GIVE_TOKEN,
    });
  }
  const file = resolvePath(terminal, named);
  const read = await onDisk('read', file, async () => readNamedFile(file, MAX_TOKEN_FILE_BYTES));
  if (read?.kind !== 'read') {
    throw new TartletError('CONFIG_INVALID', `${file} is no file with a fleet token`, {
      subject: file,
      next: GIVE_TOKEN,
    });
  }
  const { mode } = await onDisk('look at', file, async () => stat(file));
  if ((mode & READABLE_BY_OTHERS) !== 0) {
    throw new TartletError('CONFIG_INVALID', `every user of this machine can read the fleet token in ${file}`, {
      subject: file,
      next: { kind: 'in-words', words: `chmod 600 ${file}` },
    });
  }
  return fleetKey(Buffer.from(read.bytes).toString(), file);
}

/**
 * @param text an address of this machine; nothing, or `true` for an option without a value: what the system takes.
 * @throws TartletError `USAGE`
 */
export function parseMulticast(text: string | true): MulticastOptions {
  if (text === true || text === '') return {};
  if (isIPv4(text)) return { interface: text };
  throw new TartletError('USAGE', `"${text}" is no IPv4 address of this machine`, {
    next: { kind: 'in-words', words: 'name the address whose network is meant, e.g. mdns:192.168.1.7, or write mdns' },
  });
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(/[\s,]+/).filter((word) => word !== '');
}

/** The URL of a server that keeps a list of peers. @throws TartletError `USAGE` */
export function parseList(text: string): URL {
  if (/^https?:\/\//i.test(text) && URL.canParse(text)) return new URL(text);
  throw new TartletError('USAGE', `"${text}" is not the URL of a list of peers`, {
    next: { kind: 'in-words', words: 'write it as https://host[:port]' },
  });
}
