import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { TartletError } from '../../errors.ts';
import { systemProgram } from '../../fs/system-program.ts';
import { bridgesHere } from '../host-bridges.ts';
import { applyStep } from './apply-step.ts';
import { findPrograms, findSystemd, networkState, stateBefore, statOverrideOf } from './host-network.ts';
import { type NetworkRecord, readNetworkRecord } from './network-record.ts';
import { removalSteps, setupSteps, type SetupFacts, type Step } from './setup-plan.ts';
import { freeSubnet, isFree, parseSubnet, type Subnet } from './subnet.ts';

/** What may be chosen of a network. */
export interface NetworkWishes {
  /** Default: `tartlet0`, or as it was set up. */
  readonly bridge?: string | undefined;
  /** Like `192.168.64.0/24`. Default: one that is free, or as it was set up. */
  readonly network?: string | undefined;
}

/** What is to be done, and what there is then. */
export interface NetworkPlan {
  readonly record: NetworkRecord;
  readonly steps: readonly Step[];
}

const DEFAULT_BRIDGE = 'tartlet0';
/** Names of network cards have room for 15 bytes (Linux, `IFNAMSIZ`); these are safe in a script and in a path. */
const BRIDGE_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,14}$/;

/**
 * Plans a network for VMs: nothing is changed. One that was set up keeps its name, its addresses and what it knows of
 * before.
 *
 * @param helper QEMU's for bridges, if it is installed.
 * @throws TartletError `USAGE` for what cannot be chosen, `HOST_LACKS` for what is not installed.
 */
export async function planNetwork(wishes: NetworkWishes, helper: string | undefined): Promise<NetworkPlan> {
  const programs = findPrograms();
  if (helper === undefined) {
    throw new TartletError('HOST_LACKS', "QEMU's helper for bridges is not installed", {
      next: { kind: 'install-bridge-helper' },
    });
  }
  const there = readNetworkRecord();
  const bridge = chooseBridge(wishes.bridge, there);
  const subnet = await chooseSubnet(wishes.network, there);
  const systemctl = findSystemd();
  const statOverride = await statOverrideOf(helper);
  const record: NetworkRecord = {
    version: 1,
    bridge,
    hostAddress: `${subnet}.1`,
    network: `${subnet}.0/24`,
    startedBy: systemctl === undefined ? 'administrator' : 'systemd',
    before: there?.before ?? (await stateBefore(bridge, helper)),
  };
  const facts: SetupFacts = {
    ...programs,
    bridge,
    subnet,
    mac: macOf(bridge, subnet),
    systemctl,
    statOverride: statOverride.program,
    isHelperRegistered: statOverride.isListed,
  };
  return { record, steps: setupSteps(record, facts) };
}

function chooseBridge(wish: string | undefined, there: NetworkRecord | undefined): string {
  const bridge = wish ?? there?.bridge ?? DEFAULT_BRIDGE;
  if (!BRIDGE_NAME.test(bridge)) {
    throw new TartletError('USAGE', `"${bridge}" cannot be the name of a bridge`, { next: { kind: 'name-bridge' } });
  }
  if (there !== undefined && there.bridge !== bridge) throw otherNetwork(there);
  if (there === undefined && existsSync(`/sys/class/net/${bridge}`)) {
    throw new TartletError('USAGE', `there is something else with the name ${bridge} in the network of this machine`, {
      subject: bridge,
      next: { kind: 'name-bridge' },
    });
  }
  return bridge;
}

async function chooseSubnet(wish: string | undefined, there: NetworkRecord | undefined): Promise<Subnet> {
  const text = wish ?? there?.network;
  const routes = await readFile('/proc/net/route', 'utf8').catch(() => '');
  const subnet = text === undefined ? freeSubnet(routes) : parseSubnet(text);
  if (subnet === undefined) {
    const why = text === undefined ? 'no private network is free' : `"${text}" is no private network of 256 addresses`;
    throw new TartletError('USAGE', why, { next: { kind: 'name-subnet' } });
  }
  if (there !== undefined && there.network !== `${subnet}.0/24`) throw otherNetwork(there);
  if (there === undefined && !isFree(subnet, routes)) {
    throw new TartletError('USAGE', `this machine has a way to ${subnet}.0/24 already`, {
      next: { kind: 'name-subnet' },
    });
  }
  return subnet;
}

function otherNetwork({ bridge, network }: NetworkRecord): TartletError {
  return new TartletError('USAGE', `a network is set up already: ${network} on ${bridge}`, {
    next: { kind: 'remove-network-first' },
  });
}

/** Always the same for a network, and one that no vendor was given (IEEE 802: the two low bits of the first byte). */
function macOf(bridge: string, subnet: Subnet): string {
  const hash = createHash('sha256').update(`${bridge} ${subnet}`).digest();
  return Buffer.from([0x02, ...hash.subarray(0, 5)])
    .toString('hex')
    .replaceAll(/..(?!$)/g, '$&:');
}

/** How long a network may take to be there, in milliseconds, and between two looks. */
const STARTS_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 100;

/**
 * Sets a network up as it was planned. Where systemd runs, it is there when this returns.
 *
 * @throws TartletError `DISK_*`, `HOST_LACKS`; what was done until then is undone by {@link removeNetwork}.
 */
export async function setUpNetwork({ record, steps }: NetworkPlan): Promise<void> {
  for (const step of steps) await applyStep(step);
  if (record.startedBy === 'administrator') return;
  for (let waited = 0; waited < STARTS_WITHIN_MS; waited += LOOK_EVERY_MS) {
    const { hasBridge, hasDhcp } = networkState(record, 0);
    if (hasBridge && hasDhcp) return;
    await delay(LOOK_EVERY_MS);
  }
  throw new TartletError('HOST_LACKS', `the network was set up, and does not start`, {
    subject: record.bridge,
    next: { kind: 'look-at-network-log' },
  });
}

/**
 * Plans to take the network away. @returns undefined when none was set up. @throws TartletError `BUSY` while guests are
 * connected.
 */
export function planRemoval(record: NetworkRecord): Step[] {
  const { guests } = networkState(record, 0);
  if (guests > 0) {
    throw new TartletError(
      'BUSY',
      `${guests} ${guests === 1 ? 'guest is' : 'guests are'} connected to ${record.bridge}`,
      {
        subject: record.bridge,
        next: { kind: 'stop-guests-first' },
      },
    );
  }
  return removalSteps(record, {
    systemctl: findSystemd(),
    statOverride: systemProgram('dpkg-statoverride'),
    isForwardingNeeded: bridgesHere().some((bridge) => bridge !== record.bridge),
  });
}

/** Takes the network away as it was planned. @throws TartletError `DISK_*` */
export async function removeNetwork(steps: readonly Step[]): Promise<void> {
  for (const step of steps) await applyStep(step);
}
