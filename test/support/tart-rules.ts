import { existsSync, lstatSync, readdirSync, realpathSync, type Dirent } from 'node:fs';
import path from 'node:path';

/*
 * What today's Tart makes of a cache, written down from tart-formats §1.3, §1.5, §2.1, §2.6 and from nothing of ours:
 * the judge of whether a cache is in order.
 */

/** What Tart's `list` shows of the cache. @throws Error where it crashes: a path that cannot be decoded. */
export function tartList(images: string): string[] {
  const names: string[] = [];
  for (const { at, isLink } of walk(images, '')) {
    if (!isImage(realOf(`${images}/${at}`))) continue;
    names.push(decodeURIComponent(`${path.dirname(at)}${isLink ? ':' : '@'}${path.basename(at)}`));
  }
  return names.sort();
}

/**
 * Where Tart looks for a name: `host:port/ns:tag` or `…@sha256:…`. @returns the directory of an image, or undefined.
 */
export function tartOpen(images: string, name: string): string | undefined {
  const slash = name.indexOf('/');
  const [rest, digest] = name.slice(slash + 1).split('@');
  const colon = digest === undefined ? (rest ?? '').lastIndexOf(':') : -1;
  const repository = colon < 0 ? rest : rest?.slice(0, colon);
  const leaf = digest ?? rest?.slice(colon + 1);
  const directory = realOf(`${images}/${name.slice(0, slash).replaceAll(':', '%3A')}/${repository}/${leaf}`);
  return directory !== undefined && isImage(directory) ? directory : undefined;
}

/** The image directories that Tart's next collection would delete. */
export function tartWouldCollect(images: string): string[] {
  const links = new Map<string, number>();
  const directories: string[] = [];
  for (const { at, isLink } of walk(images, '')) {
    const real = realOf(`${images}/${at}`);
    if (real === undefined || !isImage(real)) continue;
    if (isLink) links.set(real, (links.get(real) ?? 0) + 1);
    else directories.push(real);
  }
  return directories
    .filter((directory) => !links.has(directory) && !existsSync(`${directory}/.explicitly-pulled`))
    .sort();
}

/** Symlinks are seen and not entered; an image directory is entered like any other. */
function walk(root: string, below: string): { at: string; isLink: boolean }[] {
  return readdirSync(`${root}/${below}`, { withFileTypes: true }).flatMap((entry: Dirent) => {
    const at = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isSymbolicLink()) return [{ at, isLink: true }];
    return entry.isDirectory() ? [{ at, isLink: false }, ...walk(root, at)] : [];
  });
}

function isImage(directory: string | undefined): boolean {
  const has = (file: string): boolean => existsSync(`${directory}/${file}`);
  if (directory === undefined || !has('config.json') || !has('nvram.bin')) return false;
  return has('disk.img') ? !has('overlay.asif') : has('manifest.json') && !has('overlay.asif');
}

function realOf(at: string): string | undefined {
  try {
    lstatSync(at);
    return realpathSync(at);
  } catch {
    return undefined;
  }
}
