import { TartletError } from '../../errors.ts';
import type { LocalName } from '../../names/local-name.ts';
import { shownName } from '../../names/malformed.ts';
import { SCRATCH_BESIDE_VMS } from '../home-entry.ts';
import { whyNoVm } from '../vm-directory.ts';

/*
 * What is said of a name that leads to no VM, or that no VM can get.
 */

/** A VM of which a file is missing, or is none. */
export function unusable(name: LocalName, directory: string): TartletError {
  return new TartletError('VM_INVALID', `the VM "${name.text}" cannot be used: ${whyNoVm(directory)}`, {
    subject: directory,
    next: { kind: 'complete-vm-directory', path: directory },
  });
}

/** A directory among the VMs that is none. */
export function withoutConfig(directory: string): TartletError {
  return new TartletError('VM_NOT_FOUND', `${directory} is a directory without config.json, and no VM`, {
    subject: directory,
    kept: 'it was left alone',
    next: { kind: 'remove-useless-directory', path: directory },
  });
}

/** Something in the place of a VM that is to be published. */
export function inTheWay(place: string): TartletError {
  return new TartletError('VM_EXISTS', `${place} exists and is not a VM`, {
    subject: place,
    kept: 'it was left alone',
    next: { kind: 'move-away-or-choose-another-name' },
  });
}

/** A name that another VM has. */
export function nameTaken(name: LocalName): TartletError {
  return new TartletError('VM_EXISTS', `the VM "${name.text}" exists already`, {
    subject: name.text,
    next: { kind: 'choose-another-name' },
  });
}

/** A VM of this name would be in the way of work on all others. @throws TartletError `USAGE` */
export function refuseReserved(name: LocalName): void {
  if (name.text !== SCRATCH_BESIDE_VMS) return;
  throw new TartletError('USAGE', `"${name.text}" is where work on VMs is done, and no name for one`, {
    subject: name.text,
    next: { kind: 'choose-another-name' },
  });
}

/** A name that nothing has. */
export function notThere(name: LocalName): TartletError {
  // What is no VM may be a slip: `user:password@host`.
  const shown = shownName(name.text);
  return new TartletError('VM_NOT_FOUND', `the VM "${shown}" does not exist`, {
    subject: shown,
    next: { kind: 'list-vms' },
  });
}
