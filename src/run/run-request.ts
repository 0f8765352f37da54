import type { DiskFailure } from '../hypervisor/hypervisor.ts';
import type { Forward } from '../hypervisor/machine.ts';

/** What may be asked of a `run`, by signals as a rule. */
export type RunRequest = 'stop' | 'suspend' | 'power-button';

/**
 * Requests to a `run`, which may come before the machine has started: none is lost. A second `stop` says that the first
 * took too long.
 */
export class RunRequests {
  readonly #early: RunRequest[] = [];
  readonly #stopAsked = new AbortController();
  #take: ((request: RunRequest) => void) | undefined;

  /** Aborted when a `stop` comes before {@link handle}: what has not begun need not begin. */
  get stopAsked(): AbortSignal {
    return this.#stopAsked.signal;
  }

  ask(request: RunRequest): void {
    if (this.#take === undefined) {
      this.#early.push(request);
      if (request === 'stop') this.#stopAsked.abort();
    } else this.#take(request);
  }

  /** Hands over all requests, those that came before included. */
  handle(take: (request: RunRequest) => void): void {
    this.#take = take;
    for (const request of this.#early.splice(0)) take(request);
  }
}

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
  /** The guest stands still, and goes on by itself when its disk works again. */
  | ({ readonly kind: 'disk-error' } & DiskFailure)
  /** A copy of a suspended guest has no network card of its own; see `MachineEvents.onCardKept`. */
  | { readonly kind: 'card-kept'; readonly reason: string; readonly connected: boolean }
  /** The guest may mount this tag. */
  | { readonly kind: 'shared'; readonly tag: string }
  /** The directories of this tag do not answer the guest any more. */
  | { readonly kind: 'share-ended'; readonly tag: string }
  /** The guest begins while its disk arrives. */
  | ({ readonly kind: 'disk-arrives'; readonly image: string } & DiskNeeds)
  /** It was seen how fast the disk arrives. */
  | ({ readonly kind: 'disk-rate'; readonly bytesPerSecond: number } & DiskNeeds)
  /** What the disk is waited for, also by a guest that has not begun. */
  | { readonly kind: 'disk-waits'; readonly text: string }
  | { readonly kind: 'note'; readonly text: string };

/** Bytes of a disk as the registry has them. */
export interface DiskNeeds {
  /** About so many does the start of the guest need. */
  readonly startBytes: number;
  readonly wholeBytes: number;
}
