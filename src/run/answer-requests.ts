import { describeError } from '../errors.ts';
import { removeEntry } from '../fs/remove.ts';
import { readStopDeadline } from '../home/vms/run-record.ts';
import type { RunningMachine } from '../hypervisor/hypervisor.ts';
import type { RunEvent, RunRequest, RunRequests } from './run-request.ts';
import { requireSuspendable } from './attachments.ts';
import type { RunSettings } from './run-settings.ts';
import { newMemory } from './saved-state.ts';

/**
 * A guest may not listen yet when its button is pressed, and never hears of it then (vm-run.md §3): it is pressed
 * again, in milliseconds.
 */
const PRESS_EVERY_MS = 2500;

/** How long a guest may take to turn itself off where nothing else was said, in milliseconds. */
const STOP_WITHIN_MS = 30_000;

/**
 * The machine ends so long before the process that runs it would be killed, in milliseconds, so that its disks are
 * closed.
 */
const BEFORE_KILL_MS = 500;

/** What answering takes besides the machine. */
export interface Answering {
  /** Of the VM. */
  readonly directory: string;
  readonly requests: RunRequests;
  /** Of this process. */
  readonly pid: number;
  readonly now: () => Date;
  readonly settings: RunSettings;
  readonly onEvent: (event: RunEvent) => void;
}

/** Does what is asked of a running machine, until it ends. */
export function answerRequests(machine: RunningMachine, answering: Answering): void {
  const answers = new Answers(machine, answering);
  answering.requests.handle((request) => answers.answer(request));
}

class Answers {
  readonly #machine: RunningMachine;
  readonly #answering: Answering;
  /** Settled when the memory that is being saved is whole, or cannot be saved. */
  #saving: Promise<void> | undefined;
  /** What a second request to stop does. */
  #endNow: (() => void) | undefined;

  constructor(machine: RunningMachine, answering: Answering) {
    this.#machine = machine;
    this.#answering = answering;
  }

  answer(request: RunRequest): void {
    switch (request) {
      case 'stop':
        void this.#stop();
        return;
      case 'suspend':
        // Both at once would write to one file, and a guest that shuts down has nothing to go on with.
        if (this.#saving === undefined && this.#endNow === undefined) this.#saving = this.#suspend();
        return;
      case 'power-button':
        // One that is pressed while the memory is saved would be found pressed when the guest goes on.
        if (this.#saving === undefined) void this.#machine.pressPowerButton();
        return;
    }
  }

  async #stop(): Promise<void> {
    if (this.#endNow !== undefined) {
      this.#endNow();
      return;
    }
    this.#endNow = () => void this.#machine.end();
    const { directory, pid, now, onEvent } = this.#answering;
    onEvent({ kind: 'stopping' });
    const before = await readStopDeadline(directory, pid);
    const time = now().getTime();
    const withinMs = before === undefined || before < time ? STOP_WITHIN_MS : before - time - BEFORE_KILL_MS;
    this.#endNow = stopMachine(this.#machine, withinMs, this.#saving);
  }

  async #suspend(): Promise<void> {
    const { directory, onEvent, settings } = this.#answering;
    try {
      requireSuspendable(settings);
      onEvent({ kind: 'suspending' });
      await this.#machine.suspend(newMemory(directory));
    } catch (error) {
      await removeEntry(newMemory(directory));
      this.#saving = undefined;
      // A guest that is being stopped does not go on, and the command that stops it knows.
      if (this.#endNow === undefined)
        onEvent({ kind: 'note', text: `not suspended, the guest goes on: ${describeError(error)}` });
    }
  }
}

/**
 * Turns a machine off: its power button is pressed until the guest hears it, and what is up at the deadline is ended.
 *
 * @param withinMs milliseconds from now.
 * @param after when the button is pressed first. Default: at once. A guest whose memory is being saved ends with that.
 * @returns what ends it at once.
 */
function stopMachine(machine: RunningMachine, withinMs: number, after?: Promise<void>): () => void {
  let pressing: NodeJS.Timeout | undefined;
  let isOver = false;
  const press = (): void => void machine.pressPowerButton();
  const settle = (): void => {
    isOver = true;
    clearInterval(pressing);
    clearTimeout(deadline);
  };
  const end = (): void => {
    settle();
    void machine.end();
  };
  const deadline = setTimeout(end, Math.max(0, withinMs));
  const begin = (): void => {
    if (isOver) return;
    pressing = setInterval(press, PRESS_EVERY_MS);
    press();
  };
  if (after === undefined) begin();
  else void after.then(begin);
  void machine.ended.finally(settle);
  return end;
}
