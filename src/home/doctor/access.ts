import type { Stats } from 'node:fs';
import { finding, type Finding } from './finding.ts';
import { lookAt } from './look.ts';

const OTHERS_MAY_WRITE = 0o002;

/** Who should own what, and who may write it (reliability C30). */
export class AccessCheck {
  readonly #owner: number | undefined;
  /** Folders are met more than once: as an entry of the one above, and by whoever looks into them. */
  readonly #told = new Set<string>();

  /** @param root the home: whoever owns it should own everything in it. */
  constructor(root: string) {
    const stats = lookAt(root);
    this.#owner = stats.kind === 'found' ? stats.value.uid : undefined;
  }

  /** Links have no permissions of their own, and whoever may write into a folder decides about them there. */
  look(path: string, stats: Stats): Finding[] {
    if (this.#told.has(path)) return [];
    const findings: Finding[] = [];
    if (!stats.isSymbolicLink() && (stats.mode & OTHERS_MAY_WRITE) !== 0) {
      const mode = (stats.mode & 0o7777).toString(8);
      findings.push(
        finding('mode-open', path, `every user of this machine may write to it (mode ${mode})`, {
          next: `chmod o-w ${path}`,
        }),
      );
    }
    if (this.#owner !== undefined && stats.uid !== this.#owner) {
      findings.push(
        finding('owner-other', path, `it belongs to user ${stats.uid}, the home to user ${this.#owner}`, {
          next: `chown ${this.#owner} ${path}`,
        }),
      );
    }
    if (findings.length > 0) this.#told.add(path);
    return findings;
  }

  /** Looks at something that need not be there. */
  lookIfThere(path: string): Finding[] {
    const stats = lookAt(path);
    return stats.kind === 'found' ? this.look(path, stats.value) : [];
  }
}
