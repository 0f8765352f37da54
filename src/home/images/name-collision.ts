import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { TartletError } from '../../errors.ts';
import type { Hint } from '../../hint.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { decodePath, isDigestDirectory, repositoryPath } from '../layout.ts';
import { kindOf } from '../../fs/stats.ts';

/** What keeps a name from having its path. */
type Obstacle =
  /** An image or a tag, by its path. */
  | { readonly kind: 'named'; readonly at: string }
  /** Something that neither Tart nor Tartlet made. */
  | { readonly kind: 'stray'; readonly at: string };

/**
 * Refuses a name whose place is taken by another kind of name: `host/a:b` is a symlink where `host/a/b` needs a
 * directory, and Tart deletes whichever was first (tart-formats §2.8). Directories in which nothing is, at any depth,
 * take no place: they are left of a repository whose images went, or of a pull that was interrupted.
 *
 * @returns whether the place of a tag is taken by a symlink already, whatever it leads to.
 * @throws TartletError `NAME_COLLISION` naming both, or the stray file that is in the way.
 */
export async function refuseCollision(imagesDirectory: string, name: RemoteName): Promise<'linked' | 'free'> {
  const repository = repositoryPath(name);
  const tagPath = name.tag === undefined ? undefined : `${imagesDirectory}/${repository}/${name.tag.text}`;
  const there = tagPath === undefined ? 'nothing' : await kindOf(tagPath);
  if (tagPath !== undefined) {
    if (there === 'file') throw stray(name, tagPath);
    const inside = there === 'directory' ? await findInside(tagPath) : undefined;
    if (inside?.kind === 'stray') throw stray(name, inside.at);
    if (inside?.kind === 'named') {
      const other = shownName(imagesDirectory, inside.at);
      throw collision(name, `the repository ${name.repositoryName}/${name.tag?.text ?? ''}`, {
        kind: 'delete-or-use-another-home',
        image: other,
        others: true,
      });
    }
  }
  const parts = repository.split('/');
  for (let length = 2; length <= parts.length; length += 1) {
    const above = `${imagesDirectory}/${parts.slice(0, length).join('/')}`;
    const kind = await kindOf(above);
    if (kind === 'file') throw stray(name, above);
    if (kind === 'link') {
      const other = shownName(imagesDirectory, above);
      throw collision(name, `the image ${other}`, { kind: 'delete-or-use-another-home', image: other, others: false });
    }
  }
  return there === 'link' ? 'linked' : 'free';
}

/**
 * The first image or tag in a directory, else the first stray thing; undefined when there are only directories.
 * @throws TartletError `DISK_*`
 */
async function findInside(directory: string): Promise<Obstacle | undefined> {
  let found: Obstacle | undefined;
  for (const entry of await onDisk('read the directory', directory, async () =>
    readdir(directory, { withFileTypes: true }),
  )) {
    const at = `${directory}/${entry.name}`;
    const each: Obstacle | undefined = entry.isDirectory()
      ? await findInside(at)
      : { kind: entry.isSymbolicLink() ? 'named' : 'stray', at };
    if (each?.kind === 'named') return each;
    // Whatever lies in it, it is the directory of an image.
    if (each !== undefined && isDigestDirectory(entry.name)) return { kind: 'named', at };
    found ??= each;
  }
  return found;
}

function shownName(imagesDirectory: string, at: string): string {
  const relative = path.relative(imagesDirectory, at);
  return decodePath(relative.split('/'))?.toString() ?? relative;
}

function collision(name: RemoteName, other: string, next: Hint): TartletError {
  return new TartletError(
    'NAME_COLLISION',
    `${name.toString()} cannot be cached beside ${other}: both need the same path`,
    {
      subject: name.toString(),
      found: other,
      kept: 'nothing was changed',
      next,
    },
  );
}

function stray(name: RemoteName, at: string): TartletError {
  return new TartletError(
    'NAME_COLLISION',
    `${name.toString()} cannot be cached: the foreign file ${at} is in its place`,
    {
      subject: name.toString(),
      found: at,
      kept: 'nothing was changed',
      next: { kind: 'move-or-remove', path: at },
    },
  );
}
