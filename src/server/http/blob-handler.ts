import type { Digest } from '../../names/digest.ts';
import type { Exchange } from './exchange.ts';
import { refuseNeeded } from '../store/needed-by-tag.ts';
import type { DeletesAllowed } from '../settings/options.ts';
import { parseRange } from './range.ts';
import { Refusal } from '../contract/refusal.ts';
import type { RepositoryName } from '../contract/repository-name.ts';
import { sendFile } from './send-file.ts';
import type { Storage } from '../store/storage.ts';

/** `HEAD` and `GET` of a blob, whole or one range of it (distribution spec § pulling blobs). */
export async function getBlob(
  exchange: Exchange,
  storage: Storage,
  { repository, digest }: { readonly repository: RepositoryName; readonly digest: Digest },
): Promise<void> {
  if (!(await storage.repository(repository).touchBlob(digest, storage.folder.estimatedNow))) throw unknownBlob(digest);
  const file = await storage.blobs.open(digest);
  if (file === undefined) throw unknownBlob(digest);
  try {
    // From here on only the open file counts: its length is true whatever happens to the name (reliability S51, S52).
    const { size } = await file.stat();
    const etag = `"${digest.toString()}"`;
    const headers = {
      'Content-Type': 'application/octet-stream',
      'Docker-Content-Digest': digest.toString(),
      'Accept-Ranges': 'bytes',
      ETag: etag,
      'Content-Disposition': 'attachment',
    };
    const { headers: asked, method } = exchange.request;
    const condition = asked['if-range'];
    // RFC 9110 §14.2: ranges are for GET alone.
    const applies = method === 'GET' && (condition === undefined || condition === etag);
    const range = parseRange(applies ? asked.range : undefined, size);
    if (range.kind === 'unsatisfiable') {
      throw new Refusal(416, 'SIZE_INVALID', `the blob has ${size} bytes`, {
        headers: { 'Content-Range': `bytes */${size}` },
      });
    }
    const [start, end] = range.kind === 'part' ? [range.start, range.end] : [0, size];
    const partial = range.kind === 'part' ? { 'Content-Range': `bytes ${start}-${end - 1}/${size}` } : {};
    exchange.response.writeHead(range.kind === 'part' ? 206 : 200, {
      ...headers,
      ...partial,
      'Content-Length': end - start,
    });
    if (method === 'HEAD' || start === end) exchange.response.end();
    else await sendFile(exchange.response, file, start, end - start);
  } finally {
    await file.close();
  }
}

/**
 * Takes the blob from this repository, at once; the content goes with the next garbage collection.
 * @param addressed `deletes`: whether a blob may go that the image of a tag needs.
 * @throws Refusal 409 when it may not.
 */
export async function deleteBlob(
  exchange: Exchange,
  storage: Storage,
  addressed: { readonly repository: RepositoryName; readonly digest: Digest; readonly deletes: DeletesAllowed },
): Promise<void> {
  const { repository, digest, deletes } = addressed;
  const store = storage.repository(repository);
  await storage.change(repository, async () => {
    // Build caches put plain blobs into an index, so that this is asked of manifests and blobs alike.
    if (deletes === 'unneeded') await refuseNeeded(storage, store, digest);
    if (!(await store.unlinkBlob(digest))) throw unknownBlob(digest);
  });
  exchange.respond(202, {});
}

function unknownBlob(digest: Digest): Refusal {
  return new Refusal(404, 'BLOB_UNKNOWN', 'the repository has no such blob', {
    detail: { digest: digest.toString() },
  });
}
