import type { Digest } from '../names/digest.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { VmLayout } from '../home/vm-directory.ts';
import type { HostReading } from './host-directory.ts';
import type { LinkTarget } from './link-text.ts';
import type { Mark } from '../home/images/explicit-mark.ts';

/** A directory directly below `cache/OCIs`. */
export interface HostFact {
  readonly directory: string;
  readonly reading: HostReading;
}

/**
 * A symlink directly below `cache/OCIs`: opened by name it works, but no list and no collection enters it (tart-formats
 * §2.5).
 */
export interface HostLinkFact extends HostFact {
  readonly path: string;
  readonly text: string;
  /** The host directory that its text names, when that is one of this cache. */
  readonly names: string | undefined;
  /** Whether anything is there. */
  readonly leadsSomewhere: boolean;
}

/** The directory of an image, whole or not, under whatever name. */
export interface ImageFact {
  /** The host directory it lies in. */
  readonly host: string;
  readonly repository: string;
  readonly digest: Digest;
  readonly path: string;
  /** Undefined when files are missing. */
  readonly layout: VmLayout | undefined;
  readonly mark: Mark;
  /** Whether a command of ours removed its last tag: then the missing tag is no finding. */
  readonly isUnnamed: boolean;
  /**
   * The registry in its origin record, when the record is of this image; read only where the directory is ambiguous.
   */
  readonly record: RegistryAddress | undefined;
}

/** A tag, or a digest that is a symlink (tart-formats §1.4). */
export interface LinkFact {
  readonly host: string;
  readonly repository: string;
  /** The tag, or the digest. */
  readonly leaf: string;
  readonly path: string;
  readonly text: string;
  /** What the text names, when it names anything in a cache. */
  readonly target: LinkTarget | undefined;
  /** The image of this cache that it leads to now, by whatever way. */
  readonly leadsTo: ImageFact | undefined;
  /** Whether there is nothing where it leads. */
  readonly isDead: boolean;
  /** When the symlink was made, in milliseconds since 1970: of two symlinks that want one place, the newer wins. */
  readonly madeMs: number;
}

/** All that is known about a cache before anything is decided. */
export interface CacheFacts {
  readonly imagesDirectory: string;
  readonly hosts: readonly HostFact[];
  readonly hostLinks: readonly HostLinkFact[];
  readonly images: readonly ImageFact[];
  readonly links: readonly LinkFact[];
  /**
   * Every directory that is no image, below `imagesDirectory`: nothing else may take such a path, unless nothing is in
   * it.
   */
  readonly directories: ReadonlySet<string>;
  /** Those of {@link directories} in which nothing is, at any depth, but directories. */
  readonly empty: ReadonlySet<string>;
  /**
   * Directories directly below `imagesDirectory` in which something could not be looked at: they are looked at again
   * the next time.
   */
  readonly unseenHosts: ReadonlySet<string>;
}

/** Where something lies or would lie, below `imagesDirectory`. */
export function placeOf(host: string, repository: string, leaf: string): string {
  return `${host}/${repository}/${leaf}`;
}
