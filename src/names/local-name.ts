import { TartletError } from '../errors.ts';
import { shownName } from './malformed.ts';
import { UNPRINTABLE } from './unprintable.ts';

/**
 * The name of a VM on this machine: one directory name below `vms/`. Tart checks nothing here, so that `..` reaches
 * outside the home (tart-cli §7 #10); we refuse what cannot be one plain directory and take the rest, colons and spaces
 * included.
 */
export class LocalName {
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** @throws TartletError `NAME_MALFORMED` */
  static parse(text: string): LocalName {
    const why = problem(text);
    if (why !== undefined) {
      const shown = shownName(text);
      throw new TartletError('NAME_MALFORMED', `"${shown}" cannot be the name of a local VM: ${why}`, {
        subject: shown,
        next: { kind: 'choose-plain-vm-name' },
      });
    }
    return new LocalName(text);
  }

  /**
   * The name of a VM that should be there. What cannot be a name is none that exists: looking it up fails as for any VM
   * that is missing.
   * @throws TartletError `VM_NOT_FOUND`
   */
  static ofExisting(text: string): LocalName {
    const why = problem(text);
    if (why === undefined) return new LocalName(text);
    const shown = shownName(text);
    throw new TartletError('VM_NOT_FOUND', `there is no local VM "${shown}": ${why}`, {
      subject: shown,
      next: text.includes('/') ? { kind: 'use-as-image', name: shown } : { kind: 'list-vms' },
    });
  }

  /** As {@link parse}; undefined for what is malformed. */
  static tryParse(text: string): LocalName | undefined {
    return problem(text) === undefined ? new LocalName(text) : undefined;
  }

  /** Whether both are the same in their canonical form. */
  equals(other: LocalName): boolean {
    return this.text === other.text;
  }

  /** The canonical text. */
  toString(): string {
    return this.text;
  }

  /** The text, so that JSON shows a name as it is typed. */
  toJSON(): string {
    return this.text;
  }
}

function problem(text: string): string | undefined {
  if (text === '') return 'it is empty';
  if (text === '.' || text === '..') return 'it means a directory of the file system';
  if (text.includes('/')) return 'it contains "/", which only names of registries do';
  if (UNPRINTABLE.test(text)) return 'it contains control characters';
  if (new TextEncoder().encode(text).length > 255) return 'it is longer than 255 bytes';
  return undefined;
}
