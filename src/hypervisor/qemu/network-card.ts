import { TartletError, unreachable } from '../../errors.ts';
import type { Machine, Network } from '../machine.ts';
import type { Qmp } from './qmp.ts';

/**
 * A network card of a guest, in QEMU's words (`qapi/net.json`, and `-device` in JSON): for the command line and for a
 * running QEMU.
 */
export interface NetworkCard {
  /** Of the device, by which QEMU tells of it. */
  readonly id: string;
  /**
   * The port that it is plugged in: without one of its own, a card of this kind of machine cannot be changed while the
   * guest runs.
   */
  readonly port: Readonly<Record<string, string | number>>;
  readonly network: Readonly<Record<string, unknown>>;
  readonly device: Readonly<Record<string, string | number>>;
}

/** The cards of a machine, one for each network. @param bridgeHelper QEMU's helper that connects to a bridge. */
export function networkCards({ network, mac, mtu }: Machine, bridgeHelper: string | undefined): NetworkCard[] {
  const largest = mtu === undefined ? {} : { host_mtu: mtu };
  return networksOf(network, bridgeHelper).map((settings, index) => {
    const name = `net${index}`;
    const card = `${name}-card`;
    const port = `${name}-port`;
    return {
      id: card,
      port: { driver: 'pcie-root-port', id: port, chassis: index + 1 },
      network: { ...settings, id: name },
      device: { driver: 'virtio-net-pci', netdev: name, id: card, bus: port, mac, ...largest },
    };
  });
}

function networksOf(network: Network, bridgeHelper: string | undefined): Readonly<Record<string, unknown>>[] {
  switch (network.kind) {
    case 'user': {
      const hostfwd = network.forwards.map(({ protocol, hostAddress, hostPort, guestPort }) => ({
        str: `${protocol}:${hostAddress}:${hostPort}-:${guestPort}`,
      }));
      return [{ type: 'user', ...(network.isolated ? { restrict: true } : {}), hostfwd }];
    }
    case 'bridged': {
      const helper = bridgeHelper === undefined ? {} : { helper: bridgeHelper };
      return network.bridges.map((bridge) => ({ type: 'bridge', br: bridge, ...helper }));
    }
    default:
      return unreachable(network);
  }
}

/**
 * How long a guest may take to let go of its card, in milliseconds: 50 are usual, and 5 s where it waits for a second
 * thought (arm64).
 */
const LETS_GO_WITHIN_MS = 15_000;

/** Waits for a device to be gone. @returns whether it has gone in time. */
export type UntilGone = (device: string, withinMs: number) => Promise<boolean>;

/**
 * Shows the guest whether its cards are connected. It notices, and asks for an address again (run-fleet-demand §b.3,
 * 9).
 */
export async function setLinks(qmp: Qmp, cards: readonly NetworkCard[], up: boolean): Promise<void> {
  for (const { id } of cards) await qmp.execute('set_link', { name: id, up }).catch(() => undefined);
}

/**
 * Gives a running guest new cards. Its driver reads the address of a card when it finds the card, and never again:
 * after going on from a memory it would use the address that it had there. The network goes with the card, since QEMU's
 * own gives addresses by card, and forwards to the first.
 *
 * @throws TartletError `GUEST_UNREACHABLE` when the guest keeps the old one, which is disconnected then.
 */
export async function renewCards(qmp: Qmp, cards: readonly NetworkCard[], untilGone: UntilGone): Promise<void> {
  for (const card of cards) {
    const gone = untilGone(card.id, LETS_GO_WITHIN_MS);
    await qmp.execute('device_del', { id: card.id });
    if (!(await gone)) {
      throw new TartletError('GUEST_UNREACHABLE', 'the guest does not let go of the network card that it had');
    }
    await qmp.execute('netdev_del', { id: String(card.network['id']) });
    await qmp.execute('netdev_add', card.network);
    await qmp.execute('device_add', card.device);
  }
}
