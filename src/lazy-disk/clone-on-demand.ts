import { TartletError } from '../errors.ts';
import type { LocalName } from '../names/local-name.ts';
import { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';
import { type CloneOptions, type CloneOutcome, cloneVm } from '../vm/clone.ts';
import type { NotLazy } from './choose.ts';
import type { LazyMode } from './clone-lazily.ts';
import type { StartEstimate } from './estimate.ts';

/** How a VM is made of an image that need not be here yet, or of what is here. */
export interface OnDemandOptions extends CloneOptions {
  /**
   * Whether the VM may begin before its disk is here, which then arrives when it runs: of an image that is not cached,
   * on Linux. `auto`: where that is worth it; else, and on other systems, the image is pulled as a whole. Default:
   * `never`.
   */
  readonly lazy?: LazyMode | undefined;
  /** Told before an image is pulled as a whole that `auto` would have let begin before. */
  readonly onWhole?: ((why: NotLazy) => void) | undefined;
}

/** The VM that was made. */
export interface OnDemandOutcome extends Omit<CloneOutcome, 'copied'> {
  /** Whether the disk shares its blocks with the source or was copied; `lazy`: it arrives when the VM runs. */
  readonly copied: CloneOutcome['copied'] | 'lazy';
  /** What the start of a guest needs whose disk arrives when the VM runs. */
  readonly start?: StartEstimate | undefined;
}

/**
 * Makes a local VM as {@link cloneVm} does, or without its disk where that is asked for and possible.
 *
 * @throws TartletError those of {@link cloneVm}; `USAGE` for `always` on another system than Linux, `NEEDS_MACOS` for
 * `always` and a guest that does not run on Linux.
 */
export async function cloneOnDemand(
  session: Session,
  source: string,
  name: LocalName,
  { lazy = 'never', onWhole, ...options }: OnDemandOptions,
): Promise<OnDemandOutcome> {
  if (session.platform !== 'linux' && lazy === 'always') {
    throw new TartletError('USAGE', 'only on Linux a VM begins before its disk is here', { subject: name.text });
  }
  if (session.platform !== 'linux' || lazy === 'never' || !RemoteName.looksRemote(source))
    return cloneVm(session, source, name, options);
  // Loaded only here: it is rare.
  const { cloneLazily } = await import('./clone-lazily.ts');
  const { insecure = false, concurrency, newMac, beforeNamed } = options;
  const how = { mode: lazy, insecure, concurrency, onWhole, newMac, beforeNamed };
  const made = await cloneLazily(session, RemoteName.parse(source), name, how);
  if (made.kind === 'made') {
    const { digest, replaced, estimate } = made;
    return { name, copied: 'lazy', digest, replaced, start: estimate };
  }
  return cloneVm(session, source, name, options);
}
