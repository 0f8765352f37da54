import { describeError, TartletError } from '../../errors.ts';
import type { DiskFailure, Ending, MachineEvents, RunningMachine } from '../hypervisor.ts';
import type { Accelerator, Machine } from '../machine.ts';
import { diskFailureOf } from './disk-failure.ts';
import { diskNode } from './disk-node.ts';
import { connectClipboard, disconnectClipboard } from './clipboard.ts';
import { type NetworkCard, renewCards, setLinks } from './network-card.ts';
import { QemuFile } from './qemu-file.ts';
import type { ProcessEnd } from './failure.ts';
import type { QemuProcess } from './qemu-process.ts';
import type { Qmp, QmpEvent } from './qmp.ts';
import { restoreMemory, type SavedMemory, saveMemory } from './saved-memory.ts';
import { replaceDisk } from './replace-disk.ts';
import { openVnc, ptyOf, requireProgress } from './start-state.ts';

/**
 * When a guest whose disk failed tries it again, and when it has worked for so long that a failure would be a new one,
 * in milliseconds.
 */
const TRY_AGAIN_AFTER_MS = 1000;
const DISK_WORKS_AFTER_MS = 5000;

/**
 * How long a guest that goes on sees its card disconnected, in milliseconds: it looks when it is told, and may see
 * nothing of a shorter time.
 */
const LINK_DOWN_MS = 200;

/** How long a QEMU that is told to end may take to close its disks, in milliseconds: one that hangs never ends. */
const CLOSES_WITHIN_MS = 10_000;

/** A QEMU that was started, as the machine that it is. */
export class QemuMachine implements RunningMachine {
  readonly pid: number;
  readonly accelerator: Accelerator;
  readonly ended: Promise<Ending>;
  consolePath: string | undefined;
  vncPort: number | undefined;
  readonly #machine: Machine;
  readonly #cards: readonly NetworkCard[];
  readonly #qemu: QemuProcess;
  readonly #events: MachineEvents;
  #qmp: Qmp | undefined;
  /** What we did to it, or it told of itself, last. */
  #why: 'guest' | 'ended' | 'suspended' | 'panicked' | undefined;
  /** The address that the guest knows its cards by. */
  #cardMac: string;
  /** Settled when the guest has the cards that it is to have. */
  #cardsAreThere: Promise<void> = Promise.resolve();
  readonly #gone = new Map<string, () => void>();
  /** Told of a disk that does not work, and not yet that it does. */
  #diskIsBroken = false;
  #isSaving = false;
  /** Its disk changes just now. */
  #isMoving = false;
  /** Why it was to be ended, or killed. */
  #failure: string | undefined;
  #nextTry: NodeJS.Timeout | undefined;
  #killing: NodeJS.Timeout | undefined;

  constructor(
    machine: Machine,
    {
      qemu,
      cards,
      accelerator,
      events,
    }: { qemu: QemuProcess; cards: readonly NetworkCard[]; accelerator: Accelerator; events: MachineEvents },
  ) {
    this.#machine = machine;
    this.#cards = cards;
    this.#cardMac = machine.mac;
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
      await this.#goOnFrom(qmp, resumeFrom.mac);
    } else if (this.accelerator === 'kvm') await requireProgress(qmp);
    if (this.#hasClipboard) await connectClipboard(qmp);
  }

  get #hasClipboard(): boolean {
    return this.#machine.clipboard && this.#machine.screens.length > 0;
  }

  get cardMac(): string {
    return this.#cardMac;
  }

  /**
   * Connects a guest only when it has an address of its own: its copies, and the one that it is a copy of, may run in
   * the same network.
   */
  async #goOnFrom(qmp: Qmp, mac: string): Promise<void> {
    await setLinks(qmp, this.#cards, false);
    await qmp.execute('cont');
    if (mac === this.#machine.mac) {
      setTimeout(() => void setLinks(qmp, this.#cards, true), LINK_DOWN_MS);
      return;
    }
    this.#cardMac = mac;
    this.#cardsAreThere = this.#renewCards(qmp);
  }

  async #renewCards(qmp: Qmp): Promise<void> {
    try {
      await renewCards(qmp, this.#cards, async (device, withinMs) => this.#untilGone(device, withinMs));
      this.#cardMac = this.#machine.mac;
    } catch (error) {
      if (this.#why !== undefined) return; // It has ended meanwhile.
      const isAlone = this.#machine.network.kind === 'user';
      // In a network of its own it is in no way of others.
      if (isAlone) await setLinks(qmp, this.#cards, true);
      this.#events.onCardKept?.(describeError(error), isAlone);
    }
  }

  async #untilGone(device: string, withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), withinMs);
      this.#gone.set(device, () => {
        clearTimeout(timer);
        resolve(true);
      });
      void this.ended.finally(() => {
        clearTimeout(timer);
        resolve(false);
      });
    });
  }

  get #memorySocket(): { readonly ours: string; readonly qemus: string } {
    return { ours: this.#machineSocket(QemuFile.memory), qemus: QemuFile.memory };
  }

  /** Short, whatever the length of the directory's path: an address has room for 108 bytes. */
  #machineSocket(name: string): string {
    return `/proc/${this.pid}/cwd/${name}`;
  }

  #take(event: QmpEvent): void {
    const { name, data } = event;
    switch (name) {
      case 'SHUTDOWN':
        this.#why ??= data['guest'] === true ? 'guest' : 'ended';
        return;
      case 'GUEST_PANICKED':
        this.#why = 'panicked';
        return;
      case 'DEVICE_DELETED':
        this.#gone.get(String(data['device']))?.();
        return;
      case 'BLOCK_IO_ERROR':
        this.#diskFailed(diskFailureOf(event, this.#machine));
        return;
      default:
    }
  }

  /**
   * A guest that stands still because of its disk goes on by itself once the disk works again. That it does not is told
   * once, not at each try.
   */
  #diskFailed(failure: DiskFailure): void {
    if (!this.#diskIsBroken) this.#events.onDiskError?.(failure);
    this.#diskIsBroken = true;
    clearTimeout(this.#nextTry);
    this.#nextTry = setTimeout(() => {
      void this.#goOn();
      this.#nextTry = setTimeout(() => (this.#diskIsBroken = false), DISK_WORKS_AFTER_MS);
    }, TRY_AGAIN_AFTER_MS);
  }

  /** Not while its memory is saved, or its disk is replaced: the guest must not write to its disk any more. */
  async #goOn(): Promise<void> {
    if (!this.#isSaving && !this.#isMoving) await this.#qmp?.execute('cont').catch(() => undefined);
  }

  #endingOf({ code, signal }: ProcessEnd): Ending {
    this.#qmp?.close();
    clearTimeout(this.#nextTry);
    clearTimeout(this.#killing);
    if (this.#failure !== undefined) return { kind: 'crashed', reason: this.#failure };
    if (this.#why === 'panicked') return { kind: 'crashed', reason: 'the kernel of the guest panicked' };
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
    this.#killing ??= setTimeout(() => {
      this.#failure ??= `QEMU did not end within ${CLOSES_WITHIN_MS / 1000} s, and was killed`;
      this.#qemu.kill('SIGKILL');
    }, CLOSES_WITHIN_MS);
    // Where nothing is heard of it any more, it hears this.
    await this.#qmp?.execute('quit').catch(() => this.#qemu.kill('SIGTERM'));
  }

  async replaceDisk(file: string, commit: () => Promise<void>): Promise<'replaced' | 'ended'> {
    const qmp = this.#qmp;
    if (qmp === undefined) throw new TartletError('GUEST_UNREACHABLE', 'the machine has not begun');
    return replaceDisk(qmp, {
      node: diskNode(0),
      file,
      options: this.#machine.disks[0],
      commit,
      onStill: (isStill) => (this.#isMoving = isStill),
      onLost: (reason) => (this.#failure = reason),
    });
  }

  async suspend(file: string): Promise<void> {
    const qmp = this.#qmp;
    if (qmp === undefined) throw new TartletError('GUEST_UNREACHABLE', 'the machine has not begun');
    this.#isSaving = true;
    try {
      await this.#cardsAreThere;
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
