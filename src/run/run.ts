import { randomBytes, randomUUID } from 'node:crypto';
import { describeError } from '../errors.ts';
import { removeEntry } from '../fs/remove.ts';
import type { Ending, RunningMachine } from '../hypervisor/hypervisor.ts';
import type { Machine } from '../hypervisor/machine.ts';
import { findQemu } from '../hypervisor/qemu/host.ts';
import { QemuFile, startQemu } from '../hypervisor/qemu/qemu.ts';
import type { LocalName } from '../names/local-name.ts';
import { findSshDoor, type SshDoor } from '../network/own-address.ts';
import type { Session } from '../session/session.ts';
import type { Arch, LinuxConfig } from '../vm/config.ts';
import { machineOf, requireRunnable } from './machine-of.ts';
import {
  beginningOf,
  readStopDeadline,
  removeRunRecord,
  type RunRecord,
  writeRunRecord,
} from '../home/vms/run-record.ts';
import type { RunRequest, RunRequests } from './run-request.ts';
import type { RunSettings } from './run-settings.ts';
import { dropSavedState, identityOf, newMemory, publishSavedState, requireFitting } from './saved-state.ts';
import { BEFORE_KILL_MS, STOP_WITHIN_MS, stopMachine } from './stopping.ts';
import { prepareStore } from './store.ts';
import { takeVm, type TakenVm } from './take-vm.ts';

/** What a run tells while it lasts. */
export type RunEvent =
  | { readonly kind: 'emulated'; readonly reason: string }
  /** Port 22 of the guest is another port here. */
  | { readonly kind: 'ssh-port'; readonly address: string; readonly port: number }
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
  const { settings, onEvent } = options;
  const host = await findQemu(vm.config.arch, session.environment['PATH'] ?? '');
  const ssh = settings.network.kind === 'user' ? await findSshDoor(vm.name) : undefined;
  if (ssh !== undefined && ssh.port !== 22) onEvent({ kind: 'ssh-port', ...ssh });
  const vncPassword = randomBytes(VNC_PASSWORD_BYTES).toString('base64url');
  const machine = machineOf(vm, settings, { ssh, vncPassword, generation: randomUUID() });
  const identity = identityOf(machine, host);
  const saved = await requireFitting(vm.directory, vm.name, identity);
  const store = await prepareStore(vm.directory, { arch: vm.config.arch, firmware: host.firmware }, session);
  try {
    const running = await startQemu(machine, {
      host,
      accelerator: saved?.accelerator ?? (vm.config.arch === options.hostArch ? 'auto' : 'tcg'),
      store: store.name,
      resumeFrom: saved?.file,
      inherited: [vm.lock.descriptor],
      events: { onDiskError: (reason) => onEvent({ kind: 'disk-error', reason }) },
      onEmulated: (reason) => onEvent({ kind: 'emulated', reason }),
    });
    if (saved !== undefined) await dropSavedState(vm.directory);
    await writeRunRecord(vm.directory, recordOf(machine, ssh, { pid: options.pid, now: session.now() }));
    tellDoors(running, vncPassword, onEvent);
    handleRequests(session, vm.directory, running, options);
    const ending = await running.ended;
    if (ending.kind === 'suspended') await publishSavedState(vm.directory, identity, running.accelerator);
    return ending;
  } finally {
    await store.keep();
    await removeRunRecord(vm.directory);
    for (const socket of [QemuFile.monitor, QemuFile.agent, QemuFile.memory]) {
      await removeEntry(`${vm.directory}/${socket}`);
    }
  }
}

function recordOf(
  { mac, network }: Machine,
  ssh: SshDoor | undefined,
  { pid, now }: { readonly pid: number; readonly now: Date },
): RunRecord {
  return {
    version: 1,
    pid,
    began: beginningOf(pid) ?? '',
    network:
      network.kind === 'user' && ssh !== undefined
        ? { kind: 'user', address: ssh.address, sshPort: ssh.port }
        : { kind: 'bridged', mac },
    startedAt: now.getTime(),
  };
}

function tellDoors(running: RunningMachine, password: string, onEvent: RunOptions['onEvent']): void {
  if (running.consolePath !== undefined) onEvent({ kind: 'console', path: running.consolePath });
  if (running.vncPort !== undefined) onEvent({ kind: 'vnc', port: running.vncPort, password });
}

function handleRequests(
  session: Session,
  directory: string,
  running: RunningMachine,
  { requests, onEvent }: RunOptions,
): void {
  let endNow: (() => void) | undefined;
  const stop = async (): Promise<void> => {
    if (endNow !== undefined) {
      endNow();
      return;
    }
    endNow = () => void running.end();
    onEvent({ kind: 'stopping' });
    const before = await readStopDeadline(directory);
    const now = session.now().getTime();
    const withinMs = before === undefined || before < now ? STOP_WITHIN_MS : before - now - BEFORE_KILL_MS;
    endNow = stopMachine(running, withinMs);
  };
  const suspend = async (): Promise<void> => {
    onEvent({ kind: 'suspending' });
    try {
      await running.suspend(newMemory(directory));
    } catch (error) {
      onEvent({ kind: 'note', text: `not suspended, the guest goes on: ${describeError(error)}` });
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
