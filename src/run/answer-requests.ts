import { describeError } from '../errors.ts';
import { removeEntry } from '../fs/remove.ts';
import { readStopDeadline } from '../home/vms/run-record.ts';
import type { RunningMachine } from '../hypervisor/hypervisor.ts';
import type { RunEvent } from './run-event.ts';
import type { RunRequest, RunRequests } from './run-request.ts';
import { newMemory } from './saved-state.ts';
import { BEFORE_KILL_MS, STOP_WITHIN_MS, stopMachine } from './stopping.ts';

/** What answering takes besides the machine. */
export interface Answering {
  /** Of the VM. */
  readonly directory: string;
  readonly requests: RunRequests;
  /** Of this process. */
  readonly pid: number;
  readonly now: () => Date;
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
    const { directory, onEvent } = this.#answering;
    onEvent({ kind: 'suspending' });
    try {
      await this.#machine.suspend(newMemory(directory));
    } catch (error) {
      await removeEntry(newMemory(directory));
      this.#saving = undefined;
      // A guest that is being stopped does not go on, and who stops it knows.
      if (this.#endNow === undefined)
        onEvent({ kind: 'note', text: `not suspended, the guest goes on: ${describeError(error)}` });
    }
  }
}
