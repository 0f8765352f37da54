import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { readNamedFile } from '../fs/small-file.ts';
import { RemoteName } from '../names/remote-name.ts';
import { type Orchard, orchardImages, type WorkerKind } from '../orchard/orchard.ts';
import type { Session } from '../session/session.ts';
import { webDocument } from '../session/web-document.ts';
import { type ImageList, parseImageList } from './wanted.ts';

/** Where it is said which images are wanted. */
export type PrefetchSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'url'; readonly url: URL }
  /** The images of the VMs of an Orchard controller that workers of a kind can be given. */
  | { readonly kind: 'orchard'; readonly orchard: Orchard; readonly workers: WorkerKind };

const MAX_LIST_BYTES = 1024 * 1024;
/** Images that a list may name: one that names more was made by accident, or by an enemy. */
const MOST_IMAGES = 1_000;

/** What the record calls a source. */
export function sourceName(source: PrefetchSource): string {
  switch (source.kind) {
    case 'file':
      return `file:${source.path}`;
    case 'url':
      return `url:${source.url.origin}${source.url.pathname}`;
    case 'orchard':
      return `orchard:${source.orchard.url.origin}${source.orchard.url.pathname}`;
  }
}

/**
 * What a source says now.
 *
 * @throws TartletError `NOT_FOUND` for a file that is not there, `USAGE` for what is no list, or names too many
 * images, `DISK_*`, and those of `webDocument` and `orchardImages`.
 */
export async function readSource(session: Session, source: PrefetchSource): Promise<ImageList> {
  const list = await listOf(session, source);
  const [first] = list.broken;
  // The page of a proxy, or an error as JSON: all that was wanted would be let go of for it.
  if (first !== undefined && list.wanted.length === 0) {
    throw refusal(source, `is no list of images: nothing in it is one; ${first.entry}: ${first.reason}`);
  }
  const count = list.wanted.length + list.broken.length;
  if (count > MOST_IMAGES) throw refusal(source, `has ${count} entries, and may have ${MOST_IMAGES}`);
  return list;
}

function refusal(source: PrefetchSource, why: string): TartletError {
  const subject = sourceName(source);
  return new TartletError('USAGE', `${subject} ${why}`, {
    subject,
    kept: 'what it named before stays wanted',
  });
}

async function listOf(session: Session, source: PrefetchSource): Promise<ImageList> {
  switch (source.kind) {
    case 'file':
      return parseImageList(await readListFile(source.path));
    case 'url': {
      const { url } = source;
      const bytes = await webDocument(session, { url, what: 'the list of images', maxBytes: MAX_LIST_BYTES });
      return parseImageList(Buffer.from(bytes).toString());
    }
    case 'orchard': {
      const names = await orchardImages(session, source.orchard, source.workers);
      // What has no slash is a VM of the workers, and nothing that a registry has.
      return parseImageList(names.filter((name) => RemoteName.looksRemote(name)).join('\n'));
    }
  }
}

async function readListFile(file: string): Promise<string> {
  const read = await onDisk('read', file, async () => readNamedFile(file, MAX_LIST_BYTES));
  if (read?.kind === 'read') return read.bytes.toString();
  const why = read === undefined ? 'does not exist' : read.kind === 'too-large' ? 'has more than 1 MiB' : 'is no file';
  throw new TartletError(read === undefined ? 'NOT_FOUND' : 'USAGE', `${file} ${why}`, {
    subject: file,
    next: { kind: 'check-path' },
  });
}
