import type { Forward } from '../hypervisor/machine.ts';

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
  /** A copy of a suspended guest has no network card of its own; see `MachineEvents.onCardKept`. */
  | { readonly kind: 'card-kept'; readonly reason: string; readonly connected: boolean }
  | { readonly kind: 'note'; readonly text: string };
