import { TartletError } from '../errors.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { decodePath, repositoryPath } from './layout.ts';
import { kindOf } from './path-kind.ts';

/**
 * Refuses a name whose place is taken by another kind of name: `host/a:b` is a link where `host/a/b` needs a folder, and
 * Tart deletes whichever was first (tart-formats §2.8).
 *
 * @throws TartletError `NAME_COLLISION` naming both.
 */
export async function refuseCollision(imagesFolder: string, name: RemoteName): Promise<void> {
  const tagPath = name.tag === undefined ? undefined : `${imagesFolder}/${repositoryPath(name)}/${name.tag}`;
  if (tagPath !== undefined) {
    const there = await kindOf(tagPath);
    if (there === 'folder') throw collision(name, `the repository ${name.repositoryName}/${name.tag ?? ''}`);
    if (there === 'file') throw collision(name, `the foreign file ${tagPath}`);
  }
  const parts = repositoryPath(name).split('/');
  for (let length = 2; length <= parts.length; length += 1) {
    const above = parts.slice(0, length);
    if ((await kindOf(`${imagesFolder}/${above.join('/')}`)) === 'link') {
      throw collision(name, `the image ${decodePath(above)?.toString() ?? above.join('/')}`);
    }
  }
}

function collision(name: RemoteName, other: string): TartletError {
  return new TartletError(
    'NAME_COLLISION',
    `${name.toString()} cannot be cached beside ${other}: both need the same path`,
    {
      subject: name.toString(),
      found: other,
      kept: 'nothing was changed',
      next: `delete one of them (tartlet delete), or use another TART_HOME for it`,
    },
  );
}
