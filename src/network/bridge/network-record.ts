import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { parseRecord } from '../../json/record.ts';

/** Where the network that was set up for VMs is described: all users read it, root writes it. */
export const RECORD_DIRECTORY = '/etc/tartlet';
export const RECORD_FILE = `${RECORD_DIRECTORY}/network.json`;

const schema = v.object({
  version: v.literal(1),
  /** Name of the bridge. */
  bridge: v.string(),
  /** The host's address on it, which is the first of its network. */
  hostAddress: v.string(),
  /** Like `192.168.64.0/24`. */
  network: v.string(),
  /** What starts it when the system starts: systemd, or something that the administrator has told. */
  startedBy: v.picklist(['systemd', 'administrator']),
  /** How things were before, for the removal of the network. */
  before: v.object({
    /** What QEMU's list of bridges was: not there, without this bridge, or with it. */
    bridgeConf: v.picklist(['missing', 'without', 'with']),
    /** Directories that were made, the deepest first. */
    madeDirectories: v.array(v.string()),
    /** QEMU's helper, its permissions, and whether Debian's packages were told of the new ones. */
    helper: v.optional(v.object({ path: v.string(), mode: v.string(), isRegistered: v.boolean() })),
    /** Whether the kernel passed packets on from one network to another. */
    forwarded: v.boolean(),
  }),
});

/** The network that was set up for VMs. */
export type NetworkRecord = v.InferOutput<typeof schema>;

/** @returns undefined when none was set up. */
export function readNetworkRecord(): NetworkRecord | undefined {
  try {
    return parseRecord(schema, readFileSync(RECORD_FILE, 'utf8'));
  } catch {
    return undefined;
  }
}
