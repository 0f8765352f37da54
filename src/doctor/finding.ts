import type { Digest } from '../names/digest.ts';
import type { Hint } from '../hint.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { FINDINGS, type FindingId, type Severity } from './finding-kind.ts';
import { NO_DIRECTORY } from '../fs/probe.ts';

export type { Severity };

/** An image directory, wherever it lies. */
export interface ImagePlace {
  readonly path: string;
  /** The digest that the directory is named after. */
  readonly digest: Digest;
  /** By digest; undefined where no name leads. */
  readonly name: RemoteName | undefined;
}

/** What `--fix` would do about one finding, as data. `path` is the finding's own. */
export type Remedy =
  | { readonly kind: 'none' }
  /** What migration does, for the whole cache at once. */
  | { readonly kind: 'migrate' }
  /** Let the symlink at `path`, which says `text`, say `target`. */
  | { readonly kind: 'relink'; readonly text: string; readonly target: string }
  /** Remove the symlink at `path` if it still says `text`. */
  | { readonly kind: 'unlink'; readonly text: string }
  | { readonly kind: 'quarantine' }
  /**
   * Remove scratch of ours; `lock` is the file that its owner would hold, undefined where no process can own it any
   * more.
   */
  | { readonly kind: 'discard'; readonly lock: string | undefined }
  /** Fetch what is damaged, else set the image aside. */
  | { readonly kind: 'repair'; readonly image: ImagePlace };

/** An extent of a file. */
export interface Extent {
  /** Position among the chunks of its file, from 0. */
  readonly chunk: number;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** One thing that is not as it should be. */
export interface Finding {
  readonly id: FindingId;
  readonly severity: Severity;
  /** Absolute. */
  readonly path: string;
  /** What is there, in one sentence without a full stop. */
  readonly message: string;
  /** The image or VM it belongs to, when it has a name. */
  readonly name: string | undefined;
  readonly extent: Extent | undefined;
  readonly remedy: Remedy;
  /** What a person can do, where `--fix` does nothing. */
  readonly next: Hint | undefined;
}

interface FindingFacts {
  readonly name?: string | undefined;
  readonly extent?: Extent;
  readonly remedy?: Remedy;
  readonly next?: Hint | undefined;
}

export function finding(id: FindingId, path: string, message: string, facts: FindingFacts = {}): Finding {
  return {
    id,
    severity: FINDINGS[id].severity,
    path,
    message,
    name: facts.name,
    extent: facts.extent,
    remedy: facts.remedy ?? { kind: 'none' },
    next: facts.next,
  };
}

/** Something that is there, and that the system keeps us from looking at. Nothing is said about what it holds. */
export function unreadable(path: string, why: string, name?: string): Finding {
  return finding('unreadable', path, `it cannot be read: ${why}`, {
    name,
    next: why === NO_DIRECTORY ? { kind: 'move-away-for-directory' } : { kind: 'let-user-read' },
  });
}

/** What `--fix` would do, in words, or null where it does nothing. */
export function fixText({ id, remedy }: Pick<Finding, 'id' | 'remedy'>): string | null {
  if (remedy.kind === 'none') return null;
  return remedy.kind === 'quarantine' ? 'it goes to quarantine' : FINDINGS[id].fix;
}

/** Without its name no registry can be asked for it: a damaged image is then only quarantined. */
export function repairOf(image: ImagePlace): Remedy {
  return image.name === undefined ? { kind: 'quarantine' } : { kind: 'repair', image };
}
