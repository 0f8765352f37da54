import { Digest } from '../names/digest.ts';
import { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';
import { type PrefetchEntry, readPrefetchRecord } from './record.ts';

/** How a wanted image is. What is undefined is not known, or not there. */
export interface PrefetchStatus {
  readonly name: RemoteName;
  /** Which lists want it: `arguments`, `file:PATH`, `url:URL`, `orchard:URL`. */
  readonly sources: readonly string[];
  /** What the name leads to now, if all of it is here. */
  readonly digest: Digest | undefined;
  /** Bytes on the disk of that. */
  readonly bytes: number | undefined;
  /** What it led to before, if that is still here. */
  readonly previous: Digest | undefined;
  /** What the user went back from. */
  readonly rejected: Digest | undefined;
  readonly lastTry: Date | undefined;
  readonly lastSuccess: Date | undefined;
  readonly nextTry: Date | undefined;
  /** What went wrong last, if the last try failed. */
  readonly error: { readonly code: string; readonly message: string } | undefined;
  /** Bytes that crossed the network for the last image that came. */
  readonly fetchedBytes: number;
}

/** How all wanted images are, by name. Reads only. @throws TartletError `STORE_DAMAGED`, `DISK_*` */
export async function prefetchStatus(session: Session): Promise<PrefetchStatus[]> {
  const { images } = await readPrefetchRecord(session.home);
  const statuses: PrefetchStatus[] = [];
  for (const [key, entry] of Object.entries(images).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const name = RemoteName.tryParse(key);
    if (name !== undefined) statuses.push(await statusOf(session, name, entry));
  }
  return statuses;
}

async function statusOf(session: Session, name: RemoteName, entry: PrefetchEntry): Promise<PrefetchStatus> {
  const image = await session.images.find(name);
  const previous = digestOf(entry.previous);
  const hasPrevious = previous !== undefined && (await session.images.find(name.withDigest(previous))) !== undefined;
  return {
    name,
    sources: entry.sources,
    digest: image?.digest,
    bytes: image?.directory.allocatedBytes,
    previous: hasPrevious ? previous : undefined,
    rejected: digestOf(entry.rejected),
    lastTry: dateOf(entry.lastTry),
    lastSuccess: dateOf(entry.lastSuccess),
    nextTry: dateOf(entry.nextTry),
    error: entry.error,
    fetchedBytes: entry.fetchedBytes,
  };
}

function digestOf(text: string | undefined): Digest | undefined {
  return text === undefined ? undefined : Digest.tryParse(text);
}

function dateOf(text: string | undefined): Date | undefined {
  const date = new Date(text ?? '');
  return Number.isNaN(date.getTime()) ? undefined : date;
}
