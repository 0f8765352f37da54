import { type ErrorCode, TartletError } from '../../errors.ts';
import type { Hint } from '../../hint.ts';
import type { Machine } from '../machine.ts';

/** How the process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** KVM is there and does not work. */
export class KvmFailure extends TartletError {}

/** There is no desktop to open a window on, or nothing that could. */
export class WindowFailure extends TartletError {}

/** A KVM that fails makes QEMU abort, hang or name it; all else would fail by emulation as well (vm-run.md §0). */
export function isOfKvm({ signal }: ProcessEnd, words: string): boolean {
  return signal !== null || /kvm/i.test(words);
}

/** A program without the module for windows names it, and one without a desktop the library that draws them. */
export function isOfWindow({ screens }: Machine, words: string): boolean {
  return screens.some(({ kind }) => kind === 'window') && /\bgtk\b/i.test(words);
}

interface Known {
  readonly words: RegExp;
  readonly code: ErrorCode;
  /** @param found what the parts in brackets are. */
  readonly message: (...found: readonly string[]) => string;
  readonly next: Hint;
}

/** What QEMU 7.2 says when it does not start, and what is meant: the first that fits. Seen by provoking each. */
const KNOWN: readonly Known[] = [
  {
    words: /Could not set up host forwarding rule '\w+:([0-9.]+):([0-9]+)-/,
    code: 'GUEST_FAILED',
    message: (address, port) => `port ${port} of ${address} is taken, or not allowed to this user`,
    next: { kind: 'publish-elsewhere' },
  },
  {
    words:
      /Failed to get (?:shared )?"(?:write|consistent read)" lock(?:.*Is another process using the image \[(.*?)\])?/,
    code: 'BUSY',
    message: (disk) => `another program uses the disk${disk === '' ? '' : ` ${disk}`}`,
    next: { kind: 'end-user-of-disk' },
  },
  {
    words: /cannot set up guest memory/,
    code: 'GUEST_FAILED',
    message: () => 'this machine has not as much memory as the VM is to get',
    next: { kind: 'give-less-memory' },
  },
  {
    words: /unsupported machine type/,
    code: 'HOST_LACKS',
    message: () => 'the QEMU of this machine is older than 7.2',
    next: { kind: 'update-qemu' },
  },
  {
    words: /Could not init `(\w+)' audio driver/,
    code: 'GUEST_FAILED',
    message: (driver) => `there is no way for sound by "${driver}"`,
    next: { kind: 'leave-sound-out' },
  },
  {
    words: /Could not open '(.*?)': (No such file or directory|Permission denied|No such device.*|Input\/output error)/,
    code: 'GUEST_FAILED',
    message: (file, why) => `${file} cannot be opened: ${why.charAt(0).toLowerCase()}${why.slice(1)}`,
    next: { kind: 'check-path' },
  },
];

/** Why a QEMU did not start, by its last words. */
export function failureOf(words: string): TartletError {
  for (const { words: pattern, code, message, next } of KNOWN) {
    const found = pattern.exec(words);
    if (found !== null) return new TartletError(code, message(...found.slice(1).map((each) => each ?? '')), { next });
  }
  return new TartletError('GUEST_FAILED', `QEMU ended${words === '' ? ' without a word' : `: ${words}`}`);
}
