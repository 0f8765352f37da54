import path from 'node:path';
import type { StackedSize } from '../home/content/content-charge.ts';
import { linkText } from '../fs/stats.ts';
import { eachImage } from '../home/image-walk.ts';
import { lastUse } from '../home/last-use.ts';
import { isDigestDirectory } from '../home/layout.ts';
import { lookAtVmDirectory, type VmDirectory } from '../home/vm-directory.ts';
import type { VmState } from '../home/vms/local-vms.ts';
import type { Session } from '../session/session.ts';

/** One line of `list`: a local VM, or a name in the image cache. */
export interface Listed {
  readonly source: 'local' | 'OCI';
  /** The name that any command takes: what was typed is what is seen. */
  readonly name: string;
  /** Bytes of config, disk and NVRAM as files; of a stacked image, the guest's disk. */
  readonly logicalBytes: number;
  /** Bytes they occupy on the disk; a file that stacked images share counts for the one that was used last. */
  readonly allocatedBytes: number;
  readonly accessed: Date;
  readonly state: VmState;
}

/**
 * Local VMs first, then names of the cache, each group in byte order of the names (tart-cli §1.6). A pulled tag gives
 * two rows, its own and its digest's. Dangling tags and incomplete directories are no images and are left out; what
 * cannot be looked at is passed over. Of cached images only stacked ones have a file opened, their manifest, so that
 * thousands of the others cost little.
 */
export async function listVms(session: Session, source?: 'local' | 'oci'): Promise<Listed[]> {
  const local = source === 'oci' ? [] : await listLocal(session);
  const cached = source === 'local' ? [] : await listCached(session);
  return [...local.sort(byName), ...cached.sort(byName)];
}

async function listLocal(session: Session): Promise<Listed[]> {
  const rows = await Promise.all(
    session.vms.list().map(async ({ name, directory }) =>
      session.home.unreadable.passOverLater(directory.path, async () => {
        const state = await session.vms.state({ name, directory });
        return row('local', name.text, directory, state, lastUse(directory.path, session) ?? session.now());
      }),
    ),
  );
  return rows.filter((each) => each !== undefined);
}

async function listCached(session: Session): Promise<Listed[]> {
  const { home } = session;
  // A tag and its digest are one directory.
  const images = new Map<string, CachedDirectory | undefined>();
  const imageIn = (directory: string): CachedDirectory | undefined => {
    if (!images.has(directory))
      images.set(
        directory,
        home.unreadable.passOver(directory, () => lookAtCached(directory, session)),
      );
    return images.get(directory);
  };
  const found: { readonly name: string; readonly image: CachedDirectory }[] = [];
  // Only what is shown is kept of each entry: with thousands, moving the rest about in memory took a tenth of the time.
  eachImage(home, {
    onEntry: ({ kind, name, path: place }) => {
      const directory = kind === 'digest' ? place : home.unreadable.passOver(place, () => targetOf(place));
      const image = directory === undefined ? undefined : imageIn(directory);
      if (image !== undefined) found.push({ name: name.toString(), image });
    },
  });
  const stacked = found.flatMap(({ image: { directory } }) =>
    directory.layout === 'stacked-cached' ? [directory.path] : [],
  );
  const sizes = stacked.length === 0 ? undefined : await sizesOf(stacked, session);
  return found.flatMap(({ name, image: { directory, accessed } }) => {
    if (directory.layout === 'standalone') return [row('OCI', name, directory, 'stopped', accessed)];
    const size = sizes?.get(directory.path);
    return size === undefined ? [] : [row('OCI', name, withContent(directory, size), 'stopped', accessed)];
  });
}

/** Stacked images are rare, and what understands them is loaded only then. */
async function sizesOf(stacked: readonly string[], session: Session): Promise<ReadonlyMap<string, StackedSize>> {
  const { sizeStackedImages } = await import('../home/content/content-charge.ts');
  return sizeStackedImages(session, stacked, session);
}

/** An image directory, and when it was used. */
interface CachedDirectory {
  readonly directory: VmDirectory;
  readonly accessed: Date;
}

function lookAtCached(place: string, session: Session): CachedDirectory | undefined {
  const directory = lookAtVmDirectory(place);
  if (directory === undefined || directory.layout === 'stacked-local') return undefined;
  return { directory, accessed: lastUse(place, session) ?? session.now() };
}

/**
 * The disk of a stacked image lies in the content store: shown is what a guest would see, and what is charged to the
 * image there.
 */
function withContent(directory: VmDirectory, size: StackedSize): VmDirectory {
  return {
    ...directory,
    logicalBytes: size.diskBytes ?? directory.logicalBytes,
    allocatedBytes: directory.allocatedBytes + size.chargedBytes,
  };
}

/** The directory that a tag leads to; nothing good when it leads elsewhere. */
function targetOf(link: string): string {
  const text = linkText(link);
  if (text === undefined) return ''; // Removed since it was seen.
  if (!isDigestDirectory(text.slice(text.lastIndexOf('/') + 1))) return '';
  return text.startsWith('/') ? text : path.resolve(path.dirname(link), text);
}

/** A tag shows when its image was used. Tart shows the date of the symlink, which no use moves (tart-cli §4.4). */
function row(source: Listed['source'], name: string, directory: VmDirectory, state: VmState, accessed: Date): Listed {
  return {
    source,
    name,
    logicalBytes: directory.logicalBytes,
    allocatedBytes: directory.allocatedBytes,
    accessed,
    state,
  };
}

function byName(a: Listed, b: Listed): number {
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}
