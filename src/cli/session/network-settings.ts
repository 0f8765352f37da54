import { isIPv4 } from 'node:net';
import { TartletError } from '../../errors.ts';
import type { Forward } from '../../hypervisor/machine.ts';
import { readNetworkRecord } from '../../network/bridge/network-record.ts';
import { SCRIPT_FILE } from '../../network/bridge/service.ts';
import { bridgesHere } from '../../network/host-bridges.ts';
import type { RunSettings } from '../../run/run-settings.ts';
import { dialectOf } from '../terminal/dialect.ts';
import { excluding } from './usage-error.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** The options of `run` that are about the network, as they were typed (tart-cli §1.3). */
export interface NetworkFlags {
  readonly netBridged?: readonly string[];
  readonly netSoftnet?: true;
  readonly netSoftnetAllow?: string;
  readonly netSoftnetBlock?: string;
  readonly netSoftnetExpose?: string;
  readonly netSoftnetControlFd?: string;
  readonly netHost?: true;
  /** Ours: no bridge, whatever is set up. */
  readonly netUser?: true;
  readonly publish?: readonly string[];
}

/** A network, before it is known which one is the default here. */
type Choice =
  | { readonly kind: 'user'; readonly isolated: boolean }
  | { readonly kind: 'bridged'; readonly bridges: readonly string[] };

/**
 * How the guest is connected, by the first that says it: the options, `TARTLET_NETWORK`, the network that was set up;
 * else by user mode.
 *
 * @throws TartletError `USAGE`, or `HOST_LACKS` when the network that was set up does not run.
 */
export function parseNetwork(terminal: Terminal, flags: NetworkFlags): RunSettings['network'] {
  refuseSoftnet(flags);
  const { publish = [] } = flags;
  const published = publish.map(parseForward);
  const choice =
    byFlags(terminal, flags) ??
    byVariable(terminal.environment['TARTLET_NETWORK']) ??
    // Ports are published in user mode alone: on a bridge there is nothing to publish.
    (published.length > 0 ? undefined : bySetUp()) ??
    USER_MODE;
  if (choice.kind === 'user') return { ...choice, published };
  refusePublished(publish);
  choice.bridges.forEach(requireBridge);
  return choice;
}

const USER_MODE: Choice = { kind: 'user', isolated: false };

/**
 * `--net-host` isolates the guest in Tart's dialect; in Vetu's it is the way to the rest of the world (run-fleet-demand
 * §0, 6).
 */
function byFlags(terminal: Terminal, { netBridged = [], netHost, netUser }: NetworkFlags): Choice | undefined {
  const asked = [netBridged.length > 0 && '--net-bridged', netHost && '--net-host', netUser && '--net-user'];
  const [one, other] = asked.filter((flag) => typeof flag === 'string');
  if (one !== undefined && other !== undefined) throw excluding(one, other);
  if (netBridged.length > 0) return { kind: 'bridged', bridges: netBridged };
  if (netHost === true && dialectOf(terminal) === 'tart') return { kind: 'user', isolated: true };
  return netUser === true ? USER_MODE : undefined;
}

/** For drivers that pass no options, as Orchard on Linux (run-fleet-demand §8, 1). Empty means that it says nothing. */
function byVariable(value: string | undefined): Choice | undefined {
  if (value === undefined || value === '') return undefined;
  const [, bridge] = /^bridge:(.+)$/.exec(value) ?? [];
  if (bridge !== undefined) return { kind: 'bridged', bridges: [bridge] };
  if (value === 'user') return USER_MODE;
  if (value === 'host') return { kind: 'user', isolated: true };
  throw new TartletError('USAGE', `TARTLET_NETWORK is "${value}", which is no network`, {
    next: { kind: 'in-words', words: 'set it to user, host or bridge:NAME, or to nothing' },
  });
}

/**
 * One that is set up and does not run is no reason for another: its ports would not be reached, and the driver would
 * look for the reason elsewhere.
 */
function bySetUp(): Choice | undefined {
  const record = readNetworkRecord();
  if (record === undefined) return undefined;
  if (bridgesHere().includes(record.bridge)) return { kind: 'bridged', bridges: [record.bridge] };
  throw new TartletError('HOST_LACKS', `the network that was set up, ${record.bridge}, does not run`, {
    subject: record.bridge,
    next: { kind: 'start-network', by: record.startedBy, script: SCRIPT_FILE },
  });
}

/**
 * Isolation that was asked for and is not there would be worse than none: it is never passed over (run-fleet-demand
 * §b.2).
 */
function refuseSoftnet(flags: NetworkFlags): void {
  const { netSoftnet, netSoftnetAllow, netSoftnetBlock, netSoftnetExpose, netSoftnetControlFd } = flags;
  const asked = [netSoftnet, netSoftnetAllow, netSoftnetBlock, netSoftnetExpose, netSoftnetControlFd];
  if (asked.every((value) => value === undefined)) return;
  throw new TartletError('USAGE', 'Softnet isolates guests on macOS only', {
    next: {
      kind: 'in-words',
      words: 'use --net-host for a guest that reaches this host only, and --publish for ports of the guest',
    },
  });
}

function refusePublished(publish: readonly string[]): void {
  if (publish.length === 0) return;
  throw new TartletError('USAGE', 'on a bridge every port of the guest is reached: there is nothing to publish', {
    next: { kind: 'in-words', words: 'leave --publish out' },
  });
}

/** Names that are none are how people ask Tart for the list: `--net-bridged=list`. */
function requireBridge(name: string): void {
  const bridges = bridgesHere();
  if (bridges.includes(name)) return;
  const there =
    bridges.length === 0 ? 'this machine has none' : `the bridges of this machine are ${bridges.join(', ')}`;
  throw new TartletError('USAGE', `there is no bridge "${name}": ${there}`, {
    subject: name,
    next: { kind: 'in-words', words: 'name one of them, or leave --net-bridged out' },
  });
}

/** `[ADDRESS:]HOST:GUEST[/udp]`, as Docker writes it; without an address, this machine only; 0 for any free port. */
function parseForward(text: string): Forward {
  const [, hostAddress = '127.0.0.1', host = '', guest = '', protocol = 'tcp'] =
    /^(?:([0-9.]+):)?([0-9]{1,5}):([0-9]{1,5})(?:\/(tcp|udp))?$/.exec(text) ?? [];
  const [hostPort, guestPort] = [Number(host), Number(guest)];
  const arePorts = hostPort <= 65535 && guestPort > 0 && guestPort <= 65535;
  if (host === '' || !arePorts || !isIPv4(hostAddress)) {
    throw new TartletError('USAGE', `"${text}" does not say which ports to connect`, {
      next: { kind: 'in-words', words: 'write it like 8080:80, 0:80 for any free port, or 127.0.0.1:5353:53/udp' },
    });
  }
  return { protocol: protocol === 'udp' ? 'udp' : 'tcp', hostAddress, hostPort, guestPort };
}
