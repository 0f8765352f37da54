import { existsSync } from 'node:fs';
import { describeError } from '../../errors.ts';
import { removeEntry } from '../../fs/remove.ts';
import type { MachineEvents, RunningMachine } from '../hypervisor.ts';
import type { Accelerator, Machine } from '../machine.ts';
import { qemuArguments, type QemuHost } from './command-line.ts';
import { isOfKvm, isOfWindow, KvmFailure, WindowFailure } from './failure.ts';
import { networkCards } from './network-card.ts';
import { QEMU_SOCKETS, QemuFile } from './qemu-file.ts';
import { QemuMachine } from './qemu-machine.ts';
import { QemuProcess } from './qemu-process.ts';
import type { SavedMemory } from './saved-memory.ts';
import type { ShareHost } from './share-host.ts';
import { ShareServers } from './share-server.ts';

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
  /**
   * Aborted when the machine is not wanted any more. From the moment when the guest goes on from a memory, it is not
   * heard.
   */
  readonly abandoned?: AbortSignal;
  readonly events: MachineEvents;
  /** For machines with shares. */
  readonly shareHost?: ShareHost | undefined;
  /** Told once, when emulation has to do. */
  readonly onEmulated: (reason: string) => void;
  /** Told once, when a window was asked for and cannot be had: the machine runs without. */
  readonly onNoWindow: (reason: string) => void;
}

/** How long a QEMU that is not wanted any more may take to close its disks, in milliseconds: it has hardly begun. */
const ENDS_WITHIN_MS = 1000;

/**
 * @throws TartletError `GUEST_FAILED` with QEMU's last words when it does not start, and what it fails with when it is
 * abandoned.
 */
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
  const servers = await ShareServers.start(machine, { ...options, dieWithUs: host.dieWithUs });
  const qemu = QemuProcess.start([host.program, ...argv], machine.directory, {
    inherited: options.inherited,
    dieWithUs: host.dieWithUs,
    ourPid: options.ourPid,
    afterEnd: async () => servers.end(),
  });
  const running = new QemuMachine(machine, {
    qemu,
    cards: networkCards(machine, host.bridgeHelper),
    accelerator,
    events: options.events,
  });
  const { abandoned, resumeFrom } = options;
  const endEarly = (): void => endSoon(qemu);
  abandoned?.addEventListener('abort', endEarly);
  try {
    abandoned?.throwIfAborted();
    await running.begin(
      resumeFrom && {
        ...resumeFrom,
        beforeGoingOn: async () => {
          abandoned?.throwIfAborted();
          abandoned?.removeEventListener('abort', endEarly);
          await resumeFrom.beforeGoingOn();
        },
      },
    );
    // Told to end while it answered its first questions.
    if (resumeFrom === undefined) abandoned?.throwIfAborted();
    return running;
  } catch (error) {
    qemu.kill('SIGKILL');
    const end = await qemu.ended;
    // Where it ended by itself its own words are the reason, and not that it does not answer any more.
    const reason = end.signal === 'SIGKILL' ? error : qemu.failure();
    if (isOfWindow(machine, qemu.lastWords)) throw new WindowFailure('GUEST_FAILED', qemu.lastWords);
    if (
      accelerator === 'kvm' &&
      options.accelerator === 'auto' &&
      abandoned?.aborted !== true &&
      isOfKvm(end, qemu.lastWords)
    ) {
      throw new KvmFailure('GUEST_FAILED', `KVM does not work here: ${describeError(reason)}`);
    }
    throw reason;
  } finally {
    abandoned?.removeEventListener('abort', endEarly);
  }
}

function endSoon(qemu: QemuProcess): void {
  qemu.kill('SIGTERM');
  setTimeout(() => qemu.kill('SIGKILL'), ENDS_WITHIN_MS).unref();
}
