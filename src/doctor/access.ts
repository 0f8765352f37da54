import type { Stats } from 'node:fs';
import { isGroupOfOne } from '../fs/own-file.ts';
import { finding, type Finding } from './finding.ts';
import { lookAt, readSmallFile } from '../fs/probe.ts';

const OTHERS_MAY_WRITE = 0o002;

/** More is no list of users. */
const MAX_LIST_BYTES = 16 * 1024 * 1024;

const GROUP_MAY_WRITE = 0o020;

/** What the group needs of files and of directories. */
const GROUP_NEEDS = { file: 0o060, directory: 0o070 } as const;

/** Who should own what, and who may write it (reliability C30). */
export class AccessCheck {
  readonly #owner: number | undefined;
  /** The group that shares the home, if one does. */
  readonly #group: number | undefined;
  /** Directories are met more than once: as an entry of the one above, and by the checks that read them. */
  readonly #told = new Set<string>();

  /** @param root the home: its owner should own everything in it. */
  constructor(root: string) {
    const stats = lookAt(root);
    this.#owner = stats.kind === 'found' ? stats.value.uid : undefined;
    this.#group = stats.kind === 'found' && isSharedWithOthers(stats.value) ? stats.value.gid : undefined;
  }

  /** Symlinks have no permissions of their own, and the permissions of their directory say who may change them. */
  look(path: string, stats: Stats): Finding[] {
    if (this.#told.has(path)) return [];
    const findings: Finding[] = [];
    if (!stats.isSymbolicLink() && (stats.mode & OTHERS_MAY_WRITE) !== 0) {
      const mode = (stats.mode & 0o7777).toString(8);
      findings.push(
        finding('mode-open', path, `every user of this machine may write to it (mode ${mode})`, {
          next: { kind: 'deny-others', path },
        }),
      );
    }
    if (this.#group !== undefined) findings.push(...lookAsGroup(path, stats, this.#group));
    else if (this.#owner !== undefined && stats.uid !== this.#owner) {
      findings.push(
        finding('owner-other', path, `it belongs to user ${stats.uid}, the home to user ${this.#owner}`, {
          next: { kind: 'change-owner', path, owner: this.#owner },
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

/** A group of one user shares nothing. Where groups are not in files, every group is taken for one of others. */
function isSharedWithOthers({ uid, gid, mode }: Stats): boolean {
  if ((mode & GROUP_MAY_WRITE) === 0) return false;
  const [groups, users] = ['/etc/group', '/etc/passwd'].map(textOf);
  return !isGroupOfOne(groups ?? '', users ?? '', { uid, gid });
}

function textOf(file: string): string {
  const read = readSmallFile(file, MAX_LIST_BYTES);
  return read.kind === 'found' ? read.value.toString() : '';
}

function lookAsGroup(path: string, stats: Stats, group: number): Finding[] {
  if (stats.isSymbolicLink()) return [];
  if (stats.gid !== group) {
    const message = `it belongs to group ${stats.gid}, the home to group ${group}`;
    return [finding('group-other', path, message, { next: { kind: 'change-group', path, group } })];
  }
  const needs = GROUP_NEEDS[stats.isDirectory() ? 'directory' : 'file'];
  if ((stats.mode & needs) === needs) return [];
  const message = `the group that shares the home may not use it (mode ${(stats.mode & 0o7777).toString(8)})`;
  return [finding('mode-closed', path, message, { next: { kind: 'let-group-write', path } })];
}
