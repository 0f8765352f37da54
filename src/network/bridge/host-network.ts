import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { TartletError } from '../../errors.ts';
import { SYSTEM_ENVIRONMENT, systemProgram } from '../../fs/system-program.ts';
import { BRIDGE_CONF } from '../bridge-access.ts';
import { bridgesHere, OWN_LEASES } from '../host-bridges.ts';
import { parseDnsmasqLeases } from '../leases.ts';
import { type NetworkRecord, RECORD_DIRECTORY } from './network-record.ts';
import { type Firewall, PID_FILE, SCRIPT_FILE } from './service.ts';
import { FORWARDING } from './setup-plan.ts';

/** Programs that a network takes. */
interface NetworkPrograms {
  readonly ip: string;
  readonly dnsmasq: string;
  readonly firewall: Firewall;
}

/** @throws TartletError `HOST_LACKS` for what is not installed. */
export function findPrograms(): NetworkPrograms {
  const [ip, dnsmasq] = [systemProgram('ip'), systemProgram('dnsmasq')];
  const firewall = findFirewall();
  const missing = Object.entries({ ip, dnsmasq, 'iptables or nft': firewall }).flatMap(([name, there]) =>
    there === undefined ? [name] : [],
  );
  if (ip === undefined || dnsmasq === undefined || firewall === undefined) {
    throw new TartletError(
      'HOST_LACKS',
      `a network for VMs takes programs that are not installed: ${missing.join(', ')}`,
      {
        next: { kind: 'install-network-programs' },
      },
    );
  }
  return { ip, dnsmasq, firewall };
}

function findFirewall(): Firewall | undefined {
  for (const kind of ['iptables', 'nft'] as const) {
    const program = systemProgram(kind);
    if (program !== undefined) return { kind, program };
  }
  return undefined;
}

/**
 * The program that talks to systemd; undefined where systemd does not run this system, as in most containers
 * (sd_booted(3)).
 */
export function findSystemd(): string | undefined {
  return existsSync('/run/systemd/system') ? systemProgram('systemctl') : undefined;
}

/** Debian's list of files with permissions of their own, and whether a file is in it. */
export async function statOverrideOf(
  file: string,
): Promise<{ readonly program: string | undefined; readonly isListed: boolean }> {
  const program = systemProgram('dpkg-statoverride');
  if (program === undefined) return { program, isListed: false };
  const listed = await promisify(execFile)(program, ['--list', file], { env: SYSTEM_ENVIRONMENT }).catch(
    () => undefined,
  );
  return { program, isListed: listed !== undefined };
}

/** What a network would change, as it is now. @param helper QEMU's for bridges. */
export async function stateBefore(bridge: string, helper: string): Promise<NetworkRecord['before']> {
  const conf = await readFile(BRIDGE_CONF, 'utf8').catch(() => undefined);
  const hasLine = conf?.split('\n').includes(`allow ${bridge}`) === true;
  const { mode } = await stat(helper);
  const { program, isListed } = await statOverrideOf(helper);
  const directories = [SCRIPT_FILE, OWN_LEASES, BRIDGE_CONF].map((file) => file.slice(0, file.lastIndexOf('/')));
  return {
    bridgeConf: conf === undefined ? 'missing' : hasLine ? 'with' : 'without',
    madeDirectories: [...directories, RECORD_DIRECTORY].filter((directory) => !existsSync(directory)),
    ...((mode & 0o4000) === 0 && {
      helper: {
        path: helper,
        mode: (mode & 0o7777).toString(8).padStart(4, '0'),
        isRegistered: program !== undefined && !isListed,
      },
    }),
    forwarded: forwards(),
  };
}

function forwards(): boolean {
  return textOf(FORWARDING).trim() === '1';
}

/** How a network that was set up is. */
export interface NetworkState {
  readonly hasBridge: boolean;
  /** dnsmasq runs, which gives addresses and names. */
  readonly hasDhcp: boolean;
  readonly forwards: boolean;
  /** Guests that are connected. */
  readonly guests: number;
  /** Addresses that are given. */
  readonly leases: number;
}

/** @param now milliseconds since 1970. */
export function networkState({ bridge }: NetworkRecord, now: number): NetworkState {
  const pid = textOf(PID_FILE).trim();
  const leases = parseDnsmasqLeases(textOf(OWN_LEASES));
  return {
    hasBridge: bridgesHere().includes(bridge),
    hasDhcp: /^\d+$/.test(pid) && textOf(`/proc/${pid}/comm`).trim() === 'dnsmasq',
    forwards: forwards(),
    guests: portsOf(bridge).length,
    leases: leases.filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now).length,
  };
}

function portsOf(bridge: string): string[] {
  try {
    return readdirSync(`/sys/class/net/${bridge}/brif`);
  } catch {
    return [];
  }
}

/** What cannot be read says nothing. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
