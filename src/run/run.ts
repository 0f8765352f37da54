import { randomBytes, randomUUID } from 'node:crypto';
import { describeError } from '../errors.ts';
import type { FileLock } from '../fs/lock/lock.ts';
import { removeEntry } from '../fs/remove.ts';
import type { Ending, RunningMachine } from '../hypervisor/hypervisor.ts';
import type { Forward, Machine } from '../hypervisor/machine.ts';
import type { QemuHost } from '../hypervisor/qemu/command-line.ts';
import { findQemu } from '../hypervisor/qemu/host.ts';
import { QEMU_SOCKETS, startQemu } from '../hypervisor/qemu/qemu.ts';
import { findVsock, type Vsock } from '../hypervisor/qemu/vsock.ts';
import type { LocalName } from '../names/local-name.ts';
import { requireBridgeAccess } from '../network/bridge-access.ts';
import { findSshDoor, type SshDoor } from '../network/own-address.ts';
import { settlePorts } from '../network/published-ports.ts';
import type { Session } from '../session/session.ts';
import type { Arch, LinuxConfig } from '../vm/config.ts';
import { whileServed } from './control-socket.ts';
import { setGuestClock } from './guest-clock.ts';
import { machineOf, requireRunnable } from './machine-of.ts';
import { readStopDeadline, removeRunRecord, writeRunRecord } from '../home/vms/run-record.ts';
import { recordOf } from './record-of.ts';
import type { RunRequest, RunRequests } from './run-request.ts';
import type { RunSettings } from './run-settings.ts';
import { dropSavedState, identityOf, newMemory, publishSavedState, requireFitting } from './saved-state.ts';
import { BEFORE_KILL_MS, STOP_WITHIN_MS, stopMachine } from './stopping.ts';
import { prepareStore } from './store.ts';
import { hasSeed } from './seed.ts';
import { beginLog } from './serial-log.ts';
import { takeVm, type TakenVm } from './take-vm.ts';

/** What a run tells while it lasts. */
export type RunEvent =
  | { readonly kind: 'started' }
  | { readonly kind: 'emulated'; readonly reason: string }
  /** A window was asked for, and cannot be had. */
  | { readonly kind: 'no-window'; readonly reason: string }
  /** Port 22 of the guest is another port here. */
  | { readonly kind: 'ssh-port'; readonly address: string; readonly port: number }
  /** A port of the guest is reached at a port of this host that was free. */
  | { readonly kind: 'published'; readonly forward: Forward }
  | { readonly kind: 'console'; readonly path: string }
  | { readonly kind: 'vnc'; readonly port: number; readonly password: string }
  | { readonly kind: 'stopping' }
  | { readonly kind: 'suspending' }
  | { readonly kind: 'disk-error'; readonly reason: string }
  | { readonly kind: 'note'; readonly text: string };

export interface RunOptions {
  readonly settings: RunSettings;
  readonly requests: RunRequests;
  readonly hostArch: Arch | undefined;
  /** Of this process: what others send signals to. */
  readonly pid: number;
  /** Whether this process may do everything. */
  readonly isRoot: boolean;
  readonly onEvent: (event: RunEvent) => void;
}

/** What passwords of VNC have room for (RFC 6143 §7.2.2). */
const VNC_PASSWORD_BYTES = 6;

/**
 * Runs a VM, as long as it runs: holds the lock that says so, starts QEMU, and does what is asked of it.
 *
 * @returns how it ended.
 * @throws TartletError `VM_NOT_FOUND`, `VM_RUNNING`, `NEEDS_MACOS`, `HOST_LACKS`, `GUEST_FAILED` when it does not start
 */
export async function runVm(session: Session, name: LocalName, options: RunOptions): Promise<Ending> {
  const taken = await takeVm(session, name);
  try {
    requireRunnable(taken.config, name.text, {
      hostArch: options.hostArch,
      allowEmulation: options.settings.allowEmulation,
    });
    return await runTaken(session, { ...taken, config: taken.config }, options);
  } finally {
    await taken.lock.release();
  }
}

async function runTaken(
  session: Session,
  vm: TakenVm & { readonly config: LinuxConfig },
  options: RunOptions,
): Promise<Ending> {
  const settings = await withPorts(options);
  const ssh = settings.network.kind === 'user' ? await findSshDoor(vm.name) : undefined;
  const vncPassword = randomBytes(VNC_PASSWORD_BYTES).toString('base64url');
  const vsock = await findVsock(session.environment['PATH'] ?? '');
  const machine = machineOf(vm, settings, {
    ssh,
    vncPassword,
    generation: randomUUID(),
    vsock: vsock?.cid,
    hasSeed: await hasSeed(vm.directory),
  });
  // First of all, since the VM counts as running already: who stops it now must find us (run-fleet-demand §8, 7).
  await writeRunRecord(vm.directory, recordOf(machine, ssh, { pid: options.pid, now: session.now() }));
  try {
    const host = await findQemu(vm.config.arch, session.environment['PATH'] ?? '');
    if (machine.network.kind === 'bridged') {
      await requireBridgeAccess(machine.network.bridges, { helper: host.bridgeHelper, isRoot: options.isRoot });
    }
    return await runMachine(session, { machine, host, lock: vm.lock, ssh, vsock, vncPassword }, options);
  } finally {
    await removeRunRecord(vm.directory);
  }
}

/** The settings with the ports that free ones stand for; those are told. */
async function withPorts({ settings, onEvent }: RunOptions): Promise<RunSettings> {
  const { network } = settings;
  if (network.kind !== 'user') return settings;
  const published = await settlePorts(network.published);
  for (const [at, forward] of published.entries()) {
    if (network.published[at]?.hostPort === 0) onEvent({ kind: 'published', forward });
  }
  return { ...settings, network: { ...network, published } };
}

/** A machine, and what it takes to start it. */
interface Plan {
  readonly machine: Machine;
  readonly host: QemuHost;
  readonly lock: FileLock;
  readonly ssh: SshDoor | undefined;
  readonly vsock: Vsock | undefined;
  readonly vncPassword: string;
}

async function runMachine(
  session: Session,
  { machine, host, lock, ssh, vsock, vncPassword }: Plan,
  options: RunOptions,
): Promise<Ending> {
  const { directory, arch } = machine;
  const { onEvent } = options;
  const identity = identityOf(machine, host);
  const saved = await requireFitting(machine, identity);
  const store = await prepareStore(directory, { arch, firmware: host.firmware }, session);
  try {
    await beginLog(directory);
    // Of one that was killed while it saved.
    await removeEntry(newMemory(directory));
    const running = await startQemu(machine, {
      host,
      accelerator: saved?.accelerator ?? (arch === options.hostArch ? 'auto' : 'tcg'),
      store: store.name,
      resumeFrom: saved && { file: saved.file, beforeGoingOn: async () => dropSavedState(directory) },
      inherited: [lock.descriptor],
      ourPid: options.pid,
      events: { onDiskError: (reason) => onEvent({ kind: 'disk-error', reason }) },
      onEmulated: (reason) => onEvent({ kind: 'emulated', reason }),
      onNoWindow: (reason) => onEvent({ kind: 'no-window', reason }),
    });
    onEvent({ kind: 'started' });
    if (saved !== undefined) void setGuestClock(directory, () => session.now());
    if (ssh !== undefined && ssh.port !== 22) onEvent({ kind: 'ssh-port', ...ssh });
    tellDoors(running, vncPassword, onEvent);
    handleRequests(session, directory, running, options);
    const control = {
      vsock,
      address: ssh?.address,
      mac: machine.mac,
      tell: (text: string) => onEvent({ kind: 'note', text }),
    };
    const ending = await whileServed(directory, control, running.ended);
    if (ending.kind === 'suspended') await publishSavedState(machine, identity, running.accelerator);
    return ending;
  } finally {
    const sockets = QEMU_SOCKETS.map((name) => `${directory}/${name}`);
    for (const left of [...sockets, newMemory(directory)]) await removeEntry(left);
    await store.keep();
  }
}

function tellDoors(running: RunningMachine, password: string, onEvent: RunOptions['onEvent']): void {
  if (running.consolePath !== undefined) onEvent({ kind: 'console', path: running.consolePath });
  if (running.vncPort !== undefined) onEvent({ kind: 'vnc', port: running.vncPort, password });
}

function handleRequests(
  session: Session,
  directory: string,
  running: RunningMachine,
  { requests, onEvent, pid }: RunOptions,
): void {
  let isSaving = false;
  let endNow: (() => void) | undefined;
  const stop = async (): Promise<void> => {
    if (endNow !== undefined) {
      endNow();
      return;
    }
    endNow = () => void running.end();
    onEvent({ kind: 'stopping' });
    const before = await readStopDeadline(directory, pid);
    const now = session.now().getTime();
    const withinMs = before === undefined || before < now ? STOP_WITHIN_MS : before - now - BEFORE_KILL_MS;
    endNow = stopMachine(running, withinMs);
  };
  const suspend = async (): Promise<void> => {
    // Both at once would write to one file, and a guest that shuts down has nothing to go on with.
    if (isSaving || endNow !== undefined) return;
    isSaving = true;
    onEvent({ kind: 'suspending' });
    try {
      await running.suspend(newMemory(directory));
    } catch (error) {
      onEvent({ kind: 'note', text: `not suspended, the guest goes on: ${describeError(error)}` });
      await removeEntry(newMemory(directory));
      isSaving = false;
    }
  };
  requests.handle((request: RunRequest) => {
    switch (request) {
      case 'stop':
        void stop();
        return;
      case 'suspend':
        void suspend();
        return;
      case 'power-button':
        void running.pressPowerButton();
        return;
    }
  });
}
