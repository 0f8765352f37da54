import { constants } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { describeError, isTartletError, systemCode, type TartletError } from '../errors.ts';
import { freeBytes } from '../fs/space.ts';
import { findProgram } from '../fs/system-program.ts';
import type { Hint } from '../hint.ts';
import type { QemuHost } from '../hypervisor/qemu/command-line.ts';
import { findQemu } from '../hypervisor/qemu/host.ts';
import { bridgesHere } from '../network/host-bridges.ts';
import { requireBridgeAccess } from '../network/bridge-access.ts';
import { findSshDoor } from '../network/own-address.ts';
import type { Session } from '../session/session.ts';
import type { Severity } from '../doctor/finding-kind.ts';
import type { Arch } from '../vm/config.ts';
import { type Distribution, distributionHere } from './distribution.ts';
import { startEmptyMachine } from './empty-machine.ts';
import { HOST_FINDINGS, type HostFindingId } from './host-finding-kind.ts';

/** One thing that was looked at. */
export interface HostCheck {
  readonly id: HostFindingId;
  readonly severity: Severity | 'ok';
  /** What is there, or is not, in one sentence without a full stop. */
  readonly message: string;
  /** The one command that repairs it, or what has to be done by hand. */
  readonly next: Hint | undefined;
}

export interface HostOptions {
  /** Of this machine; undefined for one that runs no VMs of its own kind. */
  readonly arch: Arch | undefined;
  /** Of this process: what is started to try it dies with it. */
  readonly pid: number;
  readonly isRoot: boolean;
  /** The user's name, for a command that names it. */
  readonly user: string;
  /** Where Tart is on a Mac. */
  readonly tart: string | undefined;
  /** Before paths of the system: for tests. */
  readonly root?: string;
}

interface Context extends Required<HostOptions> {
  readonly distribution: Distribution | undefined;
  readonly searchPath: string;
}

const ENOUGH_BYTES = 10e9;
/** Where distributions put it besides `PATH`. */
const VIRTIOFSD = ['/usr/libexec/virtiofsd', '/usr/lib/qemu/virtiofsd', '/usr/lib/virtiofsd'];

/** Looks at what this machine has for running VMs. Changes nothing; an empty VM is started for a moment. */
export async function checkHost(session: Session, options: HostOptions): Promise<HostCheck[]> {
  const root = options.root ?? '';
  if (session.platform === 'darwin') return [tartCheck(options.tart), await spaceCheck(session)];
  const context: Context = {
    ...options,
    root,
    distribution: await distributionHere(root),
    searchPath: session.environment['PATH'] ?? '',
  };
  return [
    ...(await machineChecks(session, context)),
    await programCheck(context, 'dies-with-run', 'setpriv'),
    await portsCheck(),
    await bridgeCheck(context),
    await programCheck(context, 'dnsmasq', 'dnsmasq', ['/usr/sbin/dnsmasq']),
    await programCheck(context, 'virtiofsd', 'virtiofsd', VIRTIOFSD),
    await vsockCheck(context),
    await programCheck(context, 'openssh', 'ssh'),
    await spaceCheck(session),
  ];
}

function good(id: HostFindingId, message: string): HostCheck {
  return { id, severity: 'ok', message, next: undefined };
}

function bad(id: HostFindingId, message: string, next: Hint | undefined): HostCheck {
  return { id, severity: HOST_FINDINGS[id].severity, message, next };
}

function tartCheck(tart: string | undefined): HostCheck {
  if (tart !== undefined) return good('tart', `${tart} runs the VMs of this Mac`);
  return bad('tart', 'Tart, which runs VMs on a Mac, is not in PATH', { kind: 'install-tart' });
}

/** QEMU for both architectures, and what it makes of a VM. */
async function machineChecks(session: Session, context: Context): Promise<HostCheck[]> {
  const own = context.arch ?? 'amd64';
  const other = own === 'amd64' ? 'arm64' : 'amd64';
  const [found, foreign] = [await lookForQemu(own, context), await lookForQemu(other, context)];
  const foreignCheck = qemuCheck('qemu-foreign', other, foreign, context);
  const ownCheck = qemuCheck('qemu', own, found, context);
  if (ownCheck.severity !== 'ok' || isTartletError(found)) return [ownCheck, foreignCheck];
  return [ownCheck, ...(await startChecks(session, found, context)), foreignCheck];
}

async function lookForQemu(arch: Arch, { searchPath }: Context): Promise<QemuHost | TartletError> {
  return findQemu(arch, searchPath).catch((error: unknown) => {
    if (isTartletError(error, 'HOST_LACKS')) return error;
    throw error;
  });
}

function qemuCheck(id: HostFindingId, arch: Arch, found: QemuHost | TartletError, context: Context): HostCheck {
  const next: Hint = { kind: 'install-part', part: `qemu-${arch}`, distribution: context.distribution };
  if (isTartletError(found)) return bad(id, found.message, next);
  const [, version = '', major = '', minor = ''] = /version (([0-9]+)\.([0-9]+)[0-9.]*)/.exec(found.version) ?? [];
  if (Number(major) * 100 + Number(minor) < 702)
    return bad(id, `QEMU ${version} of ${found.program} is older than 7.2`, { kind: 'update-qemu' });
  return good(id, `QEMU ${version} for ${arch} guests: ${found.program}, firmware ${found.firmware.code}`);
}

async function startChecks(session: Session, host: QemuHost, context: Context): Promise<HostCheck[]> {
  const { arch = 'amd64', pid } = context;
  try {
    const started = await startEmptyMachine(host, { arch, pid, temporary: session.temporaryDirectory });
    const start = good('start', 'an empty VM starts');
    return [
      start,
      started.reason === undefined
        ? good('kvm', 'guests run on the processor')
        : await kvmCheck(started.reason, context),
    ];
  } catch (error) {
    if (!isTartletError(error)) throw error;
    return [bad('start', `an empty VM does not start: ${error.message}`, error.facts.next)];
  }
}

async function kvmCheck(reason: string, { root, user }: Context): Promise<HostCheck> {
  const message = `guests are emulated, which is many times slower: ${reason}`;
  const device = `${root}/dev/kvm`;
  try {
    await (await open(device, constants.O_RDWR)).close();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return bad('kvm', message, { kind: 'load-kvm' });
    if (systemCode(error) === 'EACCES') return bad('kvm', message, { kind: 'let-use-kvm', user });
  }
  return bad('kvm', message, { kind: 'enable-virtualization' });
}

async function programCheck(
  { searchPath, root, distribution }: Context,
  id: 'dies-with-run' | 'dnsmasq' | 'virtiofsd' | 'openssh',
  name: string,
  places: readonly string[] = [],
): Promise<HostCheck> {
  const found = (await findProgram(searchPath, name)) ?? (await firstThere(places.map((each) => `${root}${each}`)));
  if (found !== undefined) return good(id, found);
  return bad(id, `${name} is not installed`, { kind: 'install-part', part: id, distribution });
}

async function firstThere(files: readonly string[]): Promise<string | undefined> {
  for (const file of files) {
    if (
      await access(file, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return file;
  }
  return undefined;
}

async function portsCheck(): Promise<HostCheck> {
  const door = await findSshDoor('empty');
  if (door.port === 22) return good('ports', 'VMs have their SSH at port 22 of an address of their own');
  return bad('ports', 'VMs have their SSH at another port than 22, which is taken here, or not allowed to this user', {
    kind: 'allow-low-ports',
  });
}

const HELPERS = ['/usr/lib/qemu/qemu-bridge-helper', '/usr/libexec/qemu-bridge-helper'];

async function bridgeCheck({ root, distribution, isRoot }: Context): Promise<HostCheck> {
  const helper = await firstThere(HELPERS.map((each) => `${root}${each}`));
  if (helper === undefined) {
    const next: Hint = { kind: 'install-part', part: 'bridge', distribution };
    return bad('bridge', "QEMU's helper for bridges is not installed", next);
  }
  const bridges = bridgesHere();
  if (bridges.length === 0) return bad('bridge', 'this machine has no bridge', { kind: 'set-up-network' });
  for (const bridge of bridges) {
    try {
      await requireBridgeAccess([bridge], { helper, isRoot });
      return good('bridge', `guests may be connected to ${bridge}`);
    } catch (error) {
      if (!isTartletError(error)) throw error;
      if (bridge === bridges.at(-1)) return bad('bridge', error.message, error.facts.next);
    }
  }
  return good('bridge', helper);
}

async function vsockCheck({ root, searchPath, distribution }: Context): Promise<HostCheck> {
  const device = `${root}/dev/vhost-vsock`;
  try {
    await (await open(device, constants.O_RDWR)).close();
    const socat = await findProgram(searchPath, 'socat');
    if (socat !== undefined) return good('vsock', `${device}, reached by ${socat}`);
    return bad('vsock', 'socat, which reaches guests over vsock, is not installed', {
      kind: 'install-part',
      part: 'vsock',
      distribution,
    });
  } catch (error) {
    const there = await stat(device).then(
      () => true,
      () => false,
    );
    return bad('vsock', `${device}: ${describeError(error)}`, { kind: there ? 'let-use-vsock' : 'load-vsock' });
  }
}

async function spaceCheck(session: Session): Promise<HostCheck> {
  const free = await freeBytes(session.home.root);
  const message = `${(free / 1e9).toFixed(1)} GB are free at ${session.home.root}`;
  return free < ENOUGH_BYTES ? bad('space', message, { kind: 'make-free-space' }) : good('space', message);
}
