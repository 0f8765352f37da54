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
 * @throws TartletError `NOT_FOUND` for a file that is not there, `USAGE` for one that is no list, `DISK_*`, and those
 * of `webDocument` and `orchardImages`.
 */
export async function readSource(session: Session, source: PrefetchSource): Promise<ImageList> {
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
