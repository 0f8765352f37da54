import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describeError, TartletError } from '../../errors.ts';
import { removeEntry } from '../../fs/remove.ts';
import { isJsonObject } from '../../json/foreign.ts';
import type { Ending, MachineEvents, RunningMachine } from '../hypervisor.ts';
import type { Accelerator, Machine } from '../machine.ts';
import { qemuArguments, type QemuHost } from './command-line.ts';
import { type ProcessEnd, QemuProcess } from './qemu-process.ts';
import type { Qmp, QmpEvent } from './qmp.ts';
import { restoreMemory, saveMemory } from './saved-memory.ts';

/** Names of QEMU's files in the directory of a machine. Sockets have short relative names: an address has room for 108 bytes. */
export const QemuFile = {
  monitor: 'qmp.sock',
  agent: 'qga.sock',
  memory: 'memory.sock',
  log: 'serial.log',
} as const;

/** What one start of a machine takes besides the machine. */
export interface StartOptions {
  readonly host: QemuHost;
  /** `auto`: the processor if that works, found out by starting (vm-run.md §0), else emulation. */
  readonly accelerator: Accelerator | 'auto';
  readonly store: string;
  /** The file of saved memory to go on from; with the accelerator that it was saved in. */
  readonly resumeFrom?: string | undefined;
  /** Descriptors that QEMU holds open while it lives. */
  readonly inherited: readonly number[];
  readonly events: MachineEvents;
  /** Told once, when emulation has to do. */
  readonly onEmulated: (reason: string) => void;
}

/** A KVM that does not work ends QEMU, or its guest, within this time in milliseconds (51 and 135 were seen, vm-run.md §0). */
const KVM_FAILS_WITHIN_MS = 2000;
const LOOK_EVERY_MS = 50;

/** @throws TartletError `GUEST_FAILED` with QEMU's last words when it does not start. */
export async function startQemu(machine: Machine, options: StartOptions): Promise<RunningMachine> {
  if (options.accelerator !== 'auto') return launch(machine, options, options.accelerator);
  if (!existsSync('/dev/kvm')) {
    options.onEmulated('/dev/kvm is not there');
    return launch(machine, options, 'tcg');
  }
  try {
    return await launch(machine, options, 'kvm');
  } catch (error) {
    if (!(error instanceof KvmFailure)) throw error;
    options.onEmulated(error.message);
    return launch(machine, options, 'tcg');
  }
}

/** KVM is there and does not work. */
class KvmFailure extends TartletError {}

async function launch(machine: Machine, options: StartOptions, accelerator: Accelerator): Promise<RunningMachine> {
  for (const name of [QemuFile.monitor, QemuFile.agent, QemuFile.memory]) {
    await removeEntry(`${machine.directory}/${name}`);
  }
  const { host } = options;
  const argv = qemuArguments(machine, host, {
    accelerator,
    store: options.store,
    sockets: { monitor: QemuFile.monitor, agent: QemuFile.agent },
    log: QemuFile.log,
    isResumed: options.resumeFrom !== undefined,
  });
  const wrapped = host.dieWithUs === undefined ? [] : [host.dieWithUs, '--pdeathsig', 'KILL', '--'];
  const [first = host.program, ...rest] = [...wrapped, host.program, ...argv];
  const qemu = QemuProcess.start([first, ...rest], machine.directory, options.inherited);
  const running = new QemuMachine(machine, { qemu, accelerator, events: options.events });
  try {
    await running.begin(options.resumeFrom);
    return running;
  } catch (error) {
    qemu.kill();
    await qemu.ended;
    if (accelerator === 'kvm' && options.accelerator === 'auto' && options.resumeFrom === undefined) {
      throw new KvmFailure('GUEST_FAILED', `KVM does not work here: ${describeError(error)}`);
    }
    throw error;
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
  #panic: string | undefined;

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

  async begin(resumeFrom: string | undefined): Promise<void> {
    const { screen, console } = this.#machine;
    const monitor = this.#machineSocket(QemuFile.monitor);
    const qmp = await this.#qemu.converse(monitor, (event) => this.#take(event));
    this.#qmp = qmp;
    if (screen.kind === 'vnc') {
      await qmp.execute('set_password', { protocol: 'vnc', password: screen.password });
      const vnc = await qmp.execute('query-vnc');
      this.vncPort = isJsonObject(vnc) ? Number(vnc['service']) : undefined;
    }
    if (console.kind === 'pty') this.consolePath = await ptyOf(qmp);
    if (resumeFrom !== undefined) {
      await restoreMemory(qmp, resumeFrom, this.#memorySocket);
      await qmp.execute('cont');
      // The guest's card notices, and asks for an address again (run-fleet-demand §b.3, 9).
      for (const up of [false, true]) await qmp.execute('set_link', { name: 'net0-card', up });
    } else if (this.accelerator === 'kvm') await requireProgress(qmp);
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
      case 'GUEST_PANICKED':
        this.#panic = 'the guest panicked';
        return;
      case 'BLOCK_IO_ERROR':
        this.#events.onDiskError?.(textOf(data['reason']) ?? 'a disk cannot be read or written');
        void this.#goOnLater();
        return;
      default:
    }
  }

  /** A guest that stands still because of its disk goes on by itself once the disk works again. */
  async #goOnLater(): Promise<void> {
    await delay(1000);
    await this.#qmp?.execute('cont').catch(() => undefined);
  }

  #endingOf({ code, signal }: ProcessEnd): Ending {
    this.#qmp?.close();
    if (this.#panic !== undefined) return { kind: 'crashed', reason: this.#panic };
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
    await this.#qmp?.execute('quit').catch(() => undefined);
  }

  async suspend(file: string): Promise<void> {
    const qmp = this.#qmp;
    if (qmp === undefined) throw new TartletError('GUEST_UNREACHABLE', 'the machine has not begun');
    await qmp.execute('stop');
    try {
      await saveMemory(qmp, file, this.#memorySocket);
    } catch (error) {
      await qmp.execute('cont').catch(() => undefined);
      throw error;
    }
    this.#why = 'suspended';
    await qmp.execute('quit').catch(() => undefined);
  }
}

/** A KVM that cannot run this guest leaves it in a state of its own, without an end (vm-run.md §0). */
async function requireProgress(qmp: Qmp): Promise<void> {
  for (let waited = 0; waited < KVM_FAILS_WITHIN_MS; waited += LOOK_EVERY_MS) {
    const status = await qmp.execute('query-status');
    if (isJsonObject(status) && status['status'] === 'internal-error') {
      throw new TartletError('GUEST_FAILED', 'KVM reports an internal error');
    }
    await delay(LOOK_EVERY_MS);
  }
}

async function ptyOf(qmp: Qmp): Promise<string | undefined> {
  const answer = await qmp.execute('query-chardev');
  const devices: readonly unknown[] = Array.isArray(answer) ? answer : [];
  for (const device of devices) {
    if (!isJsonObject(device) || device['label'] !== 'console') continue;
    return /^pty:(.+)$/.exec(String(device['filename']))?.[1];
  }
  return undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
