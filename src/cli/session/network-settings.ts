import { isIPv4 } from 'node:net';
import { TartletError } from '../../errors.ts';
import type { Forward } from '../../hypervisor/machine.ts';
import { bridgesHere } from '../../network/host-bridges.ts';
import type { RunSettings } from '../../run/run-settings.ts';
import { dialectOf } from '../terminal/dialect.ts';
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
  readonly publish?: readonly string[];
}

/**
 * How the guest is connected. `--net-host` isolates it in Tart's dialect; in Vetu's it is the way to the rest of the world (run-fleet-demand §0, 6).
 *
 * @throws TartletError `USAGE`
 */
export function parseNetwork(terminal: Terminal, flags: NetworkFlags): RunSettings['network'] {
  refuseSoftnet(flags);
  const { netBridged = [], netHost, publish = [] } = flags;
  if (netBridged.length > 0 && netHost === true) {
    throw new TartletError('USAGE', '--net-bridged and --net-host exclude each other', {
      next: { kind: 'in-words', words: 'choose one of them' },
    });
  }
  if (netBridged.length > 0) {
    refusePublished(publish);
    netBridged.forEach(requireBridge);
    return { kind: 'bridged', bridges: netBridged };
  }
  return {
    kind: 'user',
    isolated: netHost === true && dialectOf(terminal) === 'tart',
    published: publish.map(parseForward),
  };
}

/** Isolation that was asked for and is not there would be worse than none: it is never passed over (run-fleet-demand §b.2). */
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
