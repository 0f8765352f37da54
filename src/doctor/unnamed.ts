import path from 'node:path';
import { decodePath } from '../home/layout.ts';
import { finding, type Finding } from './finding.ts';
import type { CacheTree } from './tree.ts';

/**
 * Images and symlinks under names that no canonical name has (tart-formats §2.2, §2.8). One whose percent escapes mean
 * nothing crashes Tart's `list`, and goes out of its sight as a whole registry; the others are left to people.
 */
export function checkNames(imagesDirectory: string, tree: CacheTree): Finding[] {
  const findings = new Map<string, Finding>();
  const add = (place: string, what: string): void => {
    const relative = path.relative(imagesDirectory, place);
    const registry = relative.split('/')[0] ?? '';
    if (isDecodable(relative)) {
      findings.set(place, finding('name-foreign', place, `${what} that no name leads to`));
      return;
    }
    const at = isDecodable(registry) ? place : `${imagesDirectory}/${registry}`;
    const message = `"${path.basename(at)}" has a percent escape that means nothing: Tart crashes when it lists it`;
    findings.set(at, finding('name-undecodable', at, message, { remedy: { kind: 'quarantine' } }));
  };
  for (const image of tree.images) if (image.name === undefined) add(image.path, 'an image');
  for (const link of tree.links)
    if (!link.isLeftover && decodePath(link.parts) === undefined) add(link.path, 'a symlink');
  return [...findings.values()];
}

/** As Tart decodes what it lists: an escape that means nothing crashes it (tart-formats §2.1). */
function isDecodable(relative: string): boolean {
  try {
    // Compared, because bundlers drop a call whose result is not used.
    return decodeURIComponent(relative) !== '';
  } catch {
    return false;
  }
}
