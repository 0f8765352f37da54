import { TartletError } from '../../errors.ts';
import type { Hint } from '../../hint.ts';
import type { RemoteName } from '../../names/remote-name.ts';

/** What an image is wanted for: it decides what helps where the image is not in the cache. */
export type ImagePurpose = 'read' | 'delete' | 'push' | 'inspect' | 'show' | 'attach';

/** Where Tart exits with 1 and not with 2 (tart-cli §1.3, §1.19). */
const NO_VM: ReadonlySet<ImagePurpose> = new Set<ImagePurpose>(['show', 'attach']);

/**
 * The error for an image that is not in the cache, or not complete there.
 * @returns with the code `VM_NOT_FOUND`; `NOT_FOUND` for a caller that wants to `show` where a tag leads, or to
 * `attach` its disk to a VM.
 */
export function notCached(name: RemoteName, purpose: ImagePurpose): TartletError {
  const text = name.toString();
  return new TartletError(NO_VM.has(purpose) ? 'NOT_FOUND' : 'VM_NOT_FOUND', `the image ${text} is not in the cache`, {
    subject: text,
    next: NEXT_STEP[purpose](text),
  });
}

const pullIt = (name: string): Hint => ({ kind: 'pull-first', image: name });

const NEXT_STEP: Readonly<Record<ImagePurpose, (name: string) => Hint>> = {
  read: pullIt,
  show: pullIt,
  attach: pullIt,
  delete: () => ({ kind: 'list-images' }),
  push: () => ({ kind: 'pull-or-copy' }),
  inspect: () => ({ kind: 'pull-or-ask-registry' }),
};
