import { randomBytes, randomUUID } from 'node:crypto';
import type { FileLock } from '../fs/lock/lock.ts';
import { removeEntry } from '../fs/remove.ts';
import type { Ending, RunningMachine } from '../hypervisor/hypervisor.ts';
import type { Machine } from '../hypervisor/machine.ts';
import type { QemuHost } from '../hypervisor/qemu/command-line.ts';
import { findQemu } from '../hypervisor/qemu/host.ts';
import { limitLog } from '../hypervisor/qemu/log-limit.ts';
import { startQemu } from '../hypervisor/qemu/qemu.ts';
import { QEMU_SOCKETS, QemuFile } from '../hypervisor/qemu/qemu-file.ts';
import { findVsock, type Vsock } from '../hypervisor/qemu/vsock.ts';
import type { LocalName } from '../names/local-name.ts';
import { requireBridgeAccess } from '../network/bridge-access.ts';
import { findSshDoor, type SshDoor } from '../network/own-address.ts';
import { settlePorts } from '../network/published-ports.ts';
import type { Session } from '../session/session.ts';
import type { Arch, LinuxConfig } from '../vm/config.ts';
import { answerRequests } from './answer-requests.ts';
import { whileServed } from './agent/control-socket.ts';
import { setGuestClock } from './guest-clock.ts';
import { type Attachments, attach, hasSeed } from './attachments.ts';
import type { DiskArrival, OpenArrival } from './disk-arrival.ts';
import { machineOf, requireRunnable, withAttachments, withRootDisk } from './machine-of.ts';
import { removeRunRecord, writeRunRecord } from '../home/vms/run-record.ts';
import { notArrived } from '../home/vms/whole-disk.ts';
import { recordOf } from './record-of.ts';
import type { RunEvent, RunRequests } from './run-request.ts';
import type { RunSettings } from './run-settings.ts';
import { dropSavedState, identityOf, newMemory, publishSavedState, requireFitting, type Saved } from './saved-state.ts';
import { prepareStore } from './store.ts';
import { beginLog, lastLines } from './serial-log.ts';
import { takeVm, type TakenVm } from './take-vm.ts';

export interface RunOptions {
  readonly settings: RunSettings;
  readonly requests: RunRequests;
  readonly hostArch: Arch | undefined;
  /** Of this process: what others send signals to. */
  readonly pid: number;
  /** Whether this process may do everything. */
  readonly isRoot: boolean;
  readonly onEvent: (event: RunEvent) => void;
  /** For VMs whose disk has not arrived yet. Default: they are refused. */
  readonly openArrival?: OpenArrival | undefined;
}

/** What passwords of VNC have room for (RFC 6143 §7.2.2). */
const VNC_PASSWORD_BYTES = 6;

/** So many of its last lines on the console are told of a guest that crashed. */
const LAST_LINES = 15;

/** How a run ended. Of a crash with the last lines that the guest wrote to its console. */
export type RunEnding =
  | Exclude<Ending, { readonly kind: 'crashed' }>
  | (Extract<Ending, { readonly kind: 'crashed' }> & { readonly console: readonly string[] });

/**
 * Runs a VM, as long as it runs: holds the lock that says so, starts QEMU, and does what is asked of it.
 *
 * @returns how it ended.
 * @throws TartletError `VM_NOT_FOUND`, `VM_RUNNING`, `NEEDS_MACOS`, `HOST_LACKS`, `GUEST_FAILED` when it does not start
 */
export async function runVm(session: Session, name: LocalName, options: RunOptions): Promise<RunEnding> {
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
  asked: RunOptions,
): Promise<RunEnding> {
  const settings = { ...(await withPorts(asked)), arrives: vm.isLazy };
  const options = { ...asked, settings };
  const ssh = settings.network.kind === 'user' ? await findSshDoor(vm.name) : undefined;
  const vncPassword = randomBytes(VNC_PASSWORD_BYTES).toString('base64url');
  const vsock = await findVsock(session.environment['PATH'] ?? '');
  const bare = machineOf(vm, settings, {
    ssh,
    vncPassword,
    generation: randomUUID(),
    vsock: vsock?.cid,
    hasSeed: await hasSeed(vm.directory),
  });
  // First of all, since the VM counts as running already: a command that stops it now must find us (run-fleet-demand
  // §8, 7).
  await writeRunRecord(vm.directory, recordOf(bare, ssh, { pid: options.pid, now: session.now(), settings }));
  let attachments: Attachments | undefined;
  let arrival: DiskArrival | undefined;
  try {
    const host = await findQemu(vm.config.arch, session.environment['PATH'] ?? '');
    if (bare.network.kind === 'bridged') {
      await requireBridgeAccess(bare.network.bridges, { helper: host.bridgeHelper, isRoot: options.isRoot });
    }
    attachments = await attach(session, vm, options);
    if (vm.isLazy) arrival = await openArrival(vm, options);
    const machine = withAttachments(withRootDisk(bare, arrival?.disk), attachments);
    const plan = { machine, host, attachments, arrival, lock: vm.lock, ssh, vsock, vncPassword };
    return await runMachine(session, plan, options);
  } finally {
    await arrival?.close();
    await attachments?.release();
    await removeRunRecord(vm.directory);
  }
}

async function openArrival(vm: TakenVm, options: RunOptions): Promise<DiskArrival | undefined> {
  if (options.openArrival === undefined) throw notArrived(vm.directory, vm.name, 'run here');
  const arrival = await options.openArrival(vm, options.onEvent);
  const { rootDisk } = options.settings;
  const arriving = arrival && { ...arrival, disk: { ...arrival.disk, ...rootDisk } };
  if (arriving === undefined || !rootDisk.readOnly) return arriving;
  // QEMU writes to no disk that is read-only, also not what belongs on one that takes its place.
  const text = 'its disk is read-only in this run: it gets one of its own in the next one that may write to it';
  return { ...arriving, begun: () => options.onEvent({ kind: 'note', text }) };
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
  readonly attachments: Attachments;
  readonly arrival: DiskArrival | undefined;
  readonly lock: FileLock;
  readonly ssh: SshDoor | undefined;
  readonly vsock: Vsock | undefined;
  readonly vncPassword: string;
}

async function runMachine(session: Session, plan: Plan, options: RunOptions): Promise<RunEnding> {
  const { machine, host, ssh, vsock } = plan;
  const { onEvent } = options;
  const { directory, arch } = machine;
  const identity = identityOf(machine, host);
  const saved = await requireFitting(machine, identity);
  const store = await prepareStore(directory, { arch, firmware: host.firmware }, session);
  const log = `${directory}/${QemuFile.log}`;
  try {
    await beginLog(directory);
    // Of one that was killed while it saved.
    await removeEntry(newMemory(directory));
    const running = await start(machine, { ...plan, store: store.name, saved }, options);
    if (running === 'not-begun') {
      onEvent({ kind: 'stopping' });
      return { kind: 'ended' };
    }
    plan.arrival?.begun(running);
    const stopLimiting = limitLog(log);
    if (saved !== undefined) void setGuestClock(directory, () => session.now());
    tellDoors(running, plan, onEvent);
    answerRequests(running, { ...options, directory, now: () => session.now() });
    const control = {
      vsock,
      address: ssh?.address,
      mac: machine.mac,
      tell: (text: string) => onEvent({ kind: 'note', text }),
    };
    const ending = await whileServed(directory, control, running.ended).finally(stopLimiting);
    if (ending.kind === 'suspended')
      await publishSavedState(machine, { identity, accelerator: running.accelerator, mac: running.cardMac });
    return await told(ending, directory);
  } finally {
    const sockets = QEMU_SOCKETS.map((name) => `${directory}/${name}`);
    for (const left of [...sockets, newMemory(directory)]) await removeEntry(left);
    await store.keep();
  }
}

/**
 * @returns `not-begun` when it was told to stop before the guest had begun; a memory that it would have gone on from is
 * still there then.
 */
async function start(
  machine: Machine,
  { host, attachments, lock, store, saved }: Plan & { readonly store: string; readonly saved: Saved | undefined },
  { hostArch, pid, requests, onEvent }: RunOptions,
): Promise<RunningMachine | 'not-begun'> {
  const { stopAsked } = requests;
  if (stopAsked.aborted) return 'not-begun';
  try {
    const running = await startQemu(machine, {
      host,
      shareHost: attachments.shareHost,
      accelerator: saved?.accelerator ?? (machine.arch === hostArch ? 'auto' : 'tcg'),
      store,
      resumeFrom: saved && { ...saved, beforeGoingOn: async () => dropSavedState(machine.directory) },
      inherited: [lock.descriptor],
      ourPid: pid,
      abandoned: stopAsked,
      events: {
        onDiskError: (failure) => onEvent({ kind: 'disk-error', ...failure }),
        onShareEnded: (tag) => onEvent({ kind: 'share-ended', tag }),
        onCardKept: (reason, connected) => onEvent({ kind: 'card-kept', reason, connected }),
      },
      onEmulated: (reason) => onEvent({ kind: 'emulated', reason }),
      onNoWindow: (reason) => onEvent({ kind: 'no-window', reason }),
    });
    onEvent({ kind: 'started' });
    for (const { tag } of machine.shares) onEvent({ kind: 'shared', tag });
    return running;
  } catch (error) {
    if (stopAsked.aborted) return 'not-begun';
    throw error;
  }
}

async function told(ending: Ending, directory: string): Promise<RunEnding> {
  if (ending.kind !== 'crashed') return ending;
  const lines = await lastLines(directory);
  // It says why first, and a trace of many lines follows.
  const panic = lines.map((line) => /Kernel panic - not syncing: (.+)/.exec(line)?.[1]).findLast(Boolean);
  const reason = panic === undefined ? ending.reason : `${ending.reason}: ${panic}`;
  return { ...ending, reason, console: lines.slice(-LAST_LINES) };
}

function tellDoors(running: RunningMachine, { ssh, vncPassword }: Plan, onEvent: RunOptions['onEvent']): void {
  if (ssh !== undefined && ssh.port !== 22) onEvent({ kind: 'ssh-port', ...ssh });
  if (running.consolePath !== undefined) onEvent({ kind: 'console', path: running.consolePath });
  if (running.vncPort !== undefined) onEvent({ kind: 'vnc', port: running.vncPort, password: vncPassword });
}
