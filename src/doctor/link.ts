import path from 'node:path';
import type { Hint } from '../hint.ts';
import { ImageReferences } from '../home/images/image-reference.ts';
import { decodeDigestDirectory, decodePath, digestPath } from '../home/layout.ts';
import { finding, type Finding, unreadable } from './finding.ts';
import { lookAtLink, lookWhereLeads } from '../fs/probe.ts';
import type { CacheTree, LinkPlace } from './tree.ts';

/** What all symlinks of a cache say, and what is wrong with some. */
export interface LinkReport {
  readonly findings: readonly Finding[];
  /** Which images symlinks name, as a collection judges it. */
  readonly references: ImageReferences;
}

/** Judges every symlink against the image directories that are there (tart-formats §1.4). */
export function checkLinks(imagesDirectory: string, tree: CacheTree): LinkReport {
  const check = new LinkCheck(imagesDirectory, tree);
  const findings: Finding[] = [];
  const references = new ImageReferences(imagesDirectory);
  if (tree.unseen.length > 0) references.addUnseen();
  for (const link of tree.links) {
    const text = lookAtLink(link.path);
    if (text.kind === 'gone') continue; // Or replaced meanwhile.
    if (text.kind === 'failed') {
      references.addUnseen();
      findings.push(unreadable(link.path, text.why));
      continue;
    }
    references.add(link.path, text.value);
    findings.push(...check.judge(link, text.value));
  }
  return { findings, references };
}

class LinkCheck {
  readonly #imagesDirectory: string;
  readonly #images: ReadonlySet<string>;
  readonly #digests: ReadonlySet<string>;
  readonly #realRoot: string;

  constructor(imagesDirectory: string, tree: CacheTree) {
    this.#imagesDirectory = imagesDirectory;
    this.#images = new Set(tree.images.map((image) => image.path));
    this.#digests = new Set(tree.images.map((image) => image.digest.toString()));
    const root = lookWhereLeads(imagesDirectory);
    this.#realRoot = root.kind === 'found' ? root.value : imagesDirectory;
  }

  judge(link: LinkPlace, text: string): Finding[] {
    if (link.isLeftover) {
      const message = `a temporary symlink to ${text} that a killed command left`;
      return [finding('link-leftover', link.path, message, { remedy: { kind: 'unlink', text } })];
    }
    const name = decodePath(link.parts);
    const shownName = name?.toString();
    const digest = decodeDigestDirectory(path.basename(text));
    // What Tart would write, and leads to an image: nearly all of them, without another look at the disk.
    if (
      name?.tag !== undefined &&
      text === `${path.dirname(link.path)}/${path.basename(text)}` &&
      this.#images.has(text)
    ) {
      return [];
    }
    const end = lookWhereLeads(link.path);
    if (end.kind === 'gone') return [this.#dangling(link, text, shownName)];
    // What cannot be looked at must not count as missing.
    if (end.kind === 'failed') return [unreadable(link.path, `it leads to ${text}: ${end.why}`, shownName)];
    const real = end.value;
    if (!`${real}/`.startsWith(`${this.#realRoot}/`)) {
      return [
        finding('link-outside', link.path, `it leads to ${real}, out of the cache`, {
          name: shownName,
          next: byHand(link),
        }),
      ];
    }
    const target = decodeDigestDirectory(path.basename(real));
    if (target === undefined) {
      return [
        finding('link-odd', link.path, `it leads to ${real}, which is no image`, {
          name: shownName,
          next: byHand(link),
        }),
      ];
    }
    // Under a name that cannot be typed, the name is the finding.
    if (name === undefined) return [];
    if (name.digest !== undefined && !name.digest.equals(target)) {
      const message = `it leads to the image ${target.toString()}`;
      return [finding('link-digest', link.path, message, { name: shownName, remedy: { kind: 'unlink', text } })];
    }
    const own = `${this.#imagesDirectory}/${digestPath(name, target)}`;
    if (!this.#images.has(own)) {
      return [finding('link-cross', link.path, `it leads to ${real}, in another repository`, { name: shownName })];
    }
    if (name.tag === undefined || text === own) return [];
    const message = `it says ${text}, Tart would write ${own}`;
    const isSame = digest?.equals(target) === true;
    return [
      finding('link-text', link.path, message, {
        name: shownName,
        remedy: isSame ? { kind: 'relink', text, target: own } : { kind: 'none' },
      }),
    ];
  }

  #dangling(link: LinkPlace, text: string, name: string | undefined): Finding {
    const digest = decodeDigestDirectory(path.basename(text));
    const own = digest === undefined ? undefined : `${path.dirname(link.path)}/${digest.toString()}`;
    if (own !== undefined && this.#images.has(own)) {
      // The home was moved: symlinks are absolute (tart-cli §7 #19).
      const message = `it says ${text}, which is not there; its image is beside it`;
      return finding('link-text', link.path, message, { name, remedy: { kind: 'relink', text, target: own } });
    }
    const message = `it leads to ${text}, which is not there`;
    if (digest !== undefined && this.#digests.has(digest.toString())) {
      // The only witness of where that image belongs must not be removed (tart-formats §2.5).
      const next: Hint = { kind: 'pull-tag-or-see-others' };
      return finding('link-dangling', link.path, message, { name, next });
    }
    return finding('link-dangling', link.path, message, { name, remedy: { kind: 'unlink', text } });
  }
}

function byHand(link: LinkPlace): Hint {
  return { kind: 'remove-link-made-by-hand', path: link.path };
}
