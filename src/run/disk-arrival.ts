import type { RunningMachine } from '../hypervisor/hypervisor.ts';
import type { Disk } from '../hypervisor/machine.ts';
import type { RunEvent } from './run-request.ts';

/** The disk of a VM that begins before its image is here, for one run. */
export interface DiskArrival {
  /** What the guest starts from. */
  readonly disk: Disk;
  /** The machine runs: from now on a whole disk may take the place of the lazy one. */
  begun(machine: RunningMachine): void;
  /** Ends what is under way; what came is kept. Called when the machine has ended. Never fails. */
  close(): Promise<void>;
}

/**
 * Prepares the disk of a VM whose disk has not arrived yet. It is the caller's of `runVm`, because it knows
 * registries.
 * @returns undefined when the disk is whole now, and the VM one like all others.
 */
export type OpenArrival = (
  vm: { readonly name: string; readonly directory: string },
  tell: (event: RunEvent) => void,
) => Promise<DiskArrival | undefined>;
