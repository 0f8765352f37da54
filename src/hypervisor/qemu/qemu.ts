import { existsSync } from 'node:fs';
import { describeError, TartletError } from '../../errors.ts';
import { removeEntry } from '../../fs/remove.ts';
import type { Ending, MachineEvents, RunningMachine } from '../hypervisor.ts';
import type { Accelerator, Machine } from '../machine.ts';
import { connectClipboard, disconnectClipboard } from './clipboard.ts';
import { qemuArguments, type QemuHost } from './command-line.ts';
import { isOfKvm, isOfWindow, KvmFailure, type ProcessEnd, WindowFailure } from './failure.ts';
import { QemuProcess } from './qemu-process.ts';
import type { Qmp, QmpEvent } from './qmp.ts';
import { restoreMemory, saveMemory } from './saved-memory.ts';
import { openVnc, ptyOf, requireProgress } from './start-state.ts';

/** Names of QEMU's files in the directory of a machine. Sockets have short relative names: an address has room for 108 bytes. */
export const QemuFile = {
  monitor: 'qmp.sock',
  /** The monitor for other commands than the one that runs the machine, one at a time. */
  requests: 'requests.sock',
  agent: 'qga.sock',
  memory: 'memory.sock',
  log: 'serial.log',
} as const;

/** Those that are sockets. They are of no use when the machine has ended. */
export const QEMU_SOCKETS = [QemuFile.monitor, QemuFile.requests, QemuFile.agent, QemuFile.memory] as const;

/** A memory that a guest goes on from once, and never again. */
export interface SavedMemory {
  readonly file: string;
  /** Called when QEMU has taken in all of it, before the guest goes on: from then on its disk and this memory do not belong together. */
  readonly beforeGoingOn: () => Promise<void>;
}

/** What one start of a machine takes besides the machine. */
export interface StartOptions {
  readonly host: QemuHost;
  /** `auto`: the processor if that works, found out by starting (vm-run.md §0), else emulation. */
  readonly accelerator: Accelerator | 'auto';
  readonly store: string;
  /** The saved memory to go on from; with the accelerator that it was saved in. */
  readonly resumeFrom?: SavedMemory | undefined;
  /** Descriptors that QEMU holds open while it lives. */
  readonly inherited: readonly number[];
  /** The number of this process, with which QEMU dies. */
  readonly ourPid: number;
  readonly events: MachineEvents;
  /** Told once, when emulation has to do. */
  readonly onEmulated: (reason: string) => void;
  /** Told once, when a window was asked for and cannot be had: the machine runs without. */
  readonly onNoWindow: (reason: string) => void;
}

/** When a guest whose disk failed tries it again, and when it has worked for so long that a failure would be a new one, in milliseconds. */
const TRY_AGAIN_AFTER_MS = 1000;
const DISK_WORKS_AFTER_MS = 5000;

/** @throws TartletError `GUEST_FAILED` with QEMU's last words when it does not start. */
export async function startQemu(machine: Machine, options: StartOptions): Promise<RunningMachine> {
  let shown = machine;
  const start = async (accelerator: Accelerator): Promise<RunningMachine> => {
    try {
      return await launch(shown, options, accelerator);
    } catch (error) {
      if (!(error instanceof WindowFailure)) throw error;
      options.onNoWindow(error.message);
      shown = { ...machine, screens: machine.screens.filter(({ kind }) => kind !== 'window') };
      return launch(shown, options, accelerator);
    }
  };
  if (options.accelerator !== 'auto') return start(options.accelerator);
  if (!existsSync('/dev/kvm')) {
    options.onEmulated('/dev/kvm is not there');
    return start('tcg');
  }
  try {
    return await start('kvm');
  } catch (error) {
    if (!(error instanceof KvmFailure)) throw error;
    options.onEmulated(error.message);
    return start('tcg');
  }
}

async function launch(machine: Machine, options: StartOptions, accelerator: Accelerator): Promise<RunningMachine> {
  for (const name of QEMU_SOCKETS) await removeEntry(`${machine.directory}/${name}`);
  const { host } = options;
  const argv = qemuArguments(machine, host, {
    accelerator,
    store: options.store,
    sockets: { monitor: QemuFile.monitor, requests: QemuFile.requests, agent: QemuFile.agent },
    log: QemuFile.log,
    isResumed: options.resumeFrom !== undefined,
  });
  const qemu = QemuProcess.start([host.program, ...argv], machine.directory, {
    inherited: options.inherited,
    dieWithUs: host.dieWithUs,
    ourPid: options.ourPid,
  });
  const running = new QemuMachine(machine, { qemu, accelerator, events: options.events });
  try {
    await running.begin(options.resumeFrom);
    return running;
  } catch (error) {
    qemu.kill('SIGKILL');
    const end = await qemu.ended;
    // Where it ended by itself its own words are the reason, and not that it does not answer any more.
    const reason = end.signal === 'SIGKILL' ? error : qemu.failure();
    if (isOfWindow(machine, qemu.lastWords)) throw new WindowFailure('GUEST_FAILED', qemu.lastWords);
    if (accelerator === 'kvm' && options.accelerator === 'auto' && isOfKvm(end, qemu.lastWords)) {
      throw new KvmFailure('GUEST_FAILED', `KVM does not work here: ${describeError(reason)}`);
    }
    throw reason;
  }
}

class QemuMachine implements RunningMachine {
  readonly pid: number;
  readonly accelerator: Accelerator;
  readonly ended: Promise<Ending>;
  consolePath: string | undefined;
  vncPort: number | undefined;
  readonly #machine: Machine;
  readonly #qemu: QemuProcess;
  readonly #events: MachineEvents;
  #qmp: Qmp | undefined;
  /** What we did to it, or it told of itself, last. */
  #why: 'guest' | 'ended' | 'suspended' | undefined;
  /** Told of a disk that does not work, and not yet that it does. */
  #diskIsBroken = false;
  #isSaving = false;
  #nextTry: NodeJS.Timeout | undefined;

  constructor(
    machine: Machine,
    { qemu, accelerator, events }: { qemu: QemuProcess; accelerator: Accelerator; events: MachineEvents },
  ) {
    this.#machine = machine;
    this.#qemu = qemu;
    this.accelerator = accelerator;
    this.#events = events;
    this.pid = qemu.child.pid ?? 0;
    this.ended = qemu.ended.then((end) => this.#endingOf(end));
  }

  async begin(resumeFrom: SavedMemory | undefined): Promise<void> {
    const { screens, console } = this.#machine;
    const monitor = this.#machineSocket(QemuFile.monitor);
    const qmp = await this.#qemu.converse(monitor, (event) => this.#take(event));
    this.#qmp = qmp;
    const vnc = screens.find((screen) => screen.kind === 'vnc');
    if (vnc !== undefined) this.vncPort = await openVnc(qmp, vnc.password);
    if (console.kind === 'pty') this.consolePath = await ptyOf(qmp);
    if (resumeFrom !== undefined) {
      await restoreMemory(qmp, resumeFrom.file, this.#memorySocket);
      await resumeFrom.beforeGoingOn();
      await qmp.execute('cont');
      // The guest's card notices, and asks for an address again (run-fleet-demand §b.3, 9).
      for (const up of [false, true]) await qmp.execute('set_link', { name: 'net0-card', up }).catch(() => undefined);
    } else if (this.accelerator === 'kvm') await requireProgress(qmp);
    if (this.#hasClipboard) await connectClipboard(qmp);
  }

  get #hasClipboard(): boolean {
    return this.#machine.clipboard && this.#machine.screens.length > 0;
  }

  get #memorySocket(): { readonly ours: string; readonly qemus: string } {
    return { ours: this.#machineSocket(QemuFile.memory), qemus: QemuFile.memory };
  }

  /** Short, whatever the length of the directory's path: an address has room for 108 bytes. */
  #machineSocket(name: string): string {
    return `/proc/${this.pid}/cwd/${name}`;
  }

  #take({ name, data }: QmpEvent): void {
    switch (name) {
      case 'SHUTDOWN':
        this.#why ??= data['guest'] === true ? 'guest' : 'ended';
        return;
      case 'BLOCK_IO_ERROR':
        this.#diskFailed(textOf(data['reason']) ?? 'a disk cannot be read or written');
        return;
      default:
    }
  }

  /** A guest that stands still because of its disk goes on by itself once the disk works again. That it does not is told once, not at each try. */
  #diskFailed(reason: string): void {
    if (!this.#diskIsBroken) this.#events.onDiskError?.(reason);
    this.#diskIsBroken = true;
    clearTimeout(this.#nextTry);
    this.#nextTry = setTimeout(() => {
      void this.#goOn();
      this.#nextTry = setTimeout(() => (this.#diskIsBroken = false), DISK_WORKS_AFTER_MS);
    }, TRY_AGAIN_AFTER_MS);
  }

  /** Not while its memory is saved: the guest must not write to its disk any more. */
  async #goOn(): Promise<void> {
    if (!this.#isSaving) await this.#qmp?.execute('cont').catch(() => undefined);
  }

  #endingOf({ code, signal }: ProcessEnd): Ending {
    this.#qmp?.close();
    clearTimeout(this.#nextTry);
    if (this.#why !== undefined && code === 0) return { kind: this.#why };
    const how = signal === null ? `QEMU ended with ${code ?? 'nothing'}` : `QEMU was ended by ${signal}`;
    const words = this.#qemu.lastWords;
    return { kind: 'crashed', reason: words === '' ? how : `${how}: ${words}` };
  }

  async pressPowerButton(): Promise<void> {
    await this.#qmp?.execute('system_powerdown').catch(() => undefined);
  }

  async end(): Promise<void> {
    this.#why ??= 'ended';
    // Where nothing is heard of it any more, it hears this.
    await this.#qmp?.execute('quit').catch(() => this.#qemu.kill('SIGTERM'));
  }

  async suspend(file: string): Promise<void> {
    const qmp = this.#qmp;
    if (qmp === undefined) throw new TartletError('GUEST_UNREACHABLE', 'the machine has not begun');
    this.#isSaving = true;
    try {
      if (this.#hasClipboard) await disconnectClipboard(qmp);
      await qmp.execute('stop');
      await saveMemory(qmp, file, this.#memorySocket);
    } catch (error) {
      this.#isSaving = false;
      await this.#goOn();
      if (this.#hasClipboard) await connectClipboard(qmp);
      throw error;
    }
    this.#why = 'suspended';
    await qmp.execute('quit').catch(() => this.#qemu.kill('SIGTERM'));
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
