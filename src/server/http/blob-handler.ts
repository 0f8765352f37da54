import { unreachable } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';
import type { Repository } from '../../names/repository.ts';
import type { BlobStore } from '../contract/blob-store.ts';
import { Refusal } from '../contract/refusal.ts';
import type { Exchange } from './exchange.ts';
import { parseRange } from './range.ts';
import { sendContent } from './send-content.ts';

interface Addressed {
  readonly repository: Repository;
  readonly digest: Digest;
}

/** What of a blob is sent, and how the answer says so. `end` is undefined where the size is. */
interface Part {
  readonly status: 200 | 206;
  readonly start: number;
  readonly end: number | undefined;
  readonly headers: Readonly<Record<string, string | number>>;
}

/** `HEAD` and `GET` of a blob, whole or one range of it (distribution spec § pulling blobs). */
export async function getBlob(exchange: Exchange, blobs: BlobStore, { repository, digest }: Addressed): Promise<void> {
  const content = await blobs.open(repository, digest);
  if (content === undefined) throw unknownBlob(digest);
  try {
    const etag = `"${digest.toString()}"`;
    const { status, headers, start, end } = partOf(exchange, content.size, etag);
    const isRead = exchange.request.method !== 'HEAD' && start !== end;
    if (isRead && content.prepare !== undefined) {
      // What has to arrive first may do so late, or never.
      exchange.response.once('close', () => void content.close().catch(() => undefined));
      await content.prepare(start, end);
    }
    exchange.response.writeHead(status, {
      'Content-Type': 'application/octet-stream',
      'Docker-Content-Digest': digest.toString(),
      'Accept-Ranges': 'bytes',
      ETag: etag,
      'Content-Disposition': 'attachment',
      ...headers,
    });
    if (isRead) await sendContent(exchange.response, content, { start, end });
    else exchange.response.end();
  } finally {
    await content.close();
  }
}

/** @throws Refusal 416 for a range that is not in the blob. */
function partOf({ request: { headers: asked, method } }: Exchange, size: number | undefined, etag: string): Part {
  // RFC 9110 §14.2: a server that cannot say where a range ends may send the whole.
  if (size === undefined) return { status: 200, start: 0, end: undefined, headers: {} };
  const condition = asked['if-range'];
  // The same section: ranges are for GET alone.
  const applies = method === 'GET' && (condition === undefined || condition === etag);
  const range = parseRange(applies ? asked.range : undefined, size);
  switch (range.kind) {
    case 'unsatisfiable':
      throw new Refusal(416, 'SIZE_INVALID', `the blob has ${size} bytes`, {
        headers: { 'Content-Range': `bytes */${size}` },
      });
    case 'whole':
      return { status: 200, start: 0, end: size, headers: { 'Content-Length': size } };
    case 'part': {
      const { start, end } = range;
      const headers = { 'Content-Range': `bytes ${start}-${end - 1}/${size}`, 'Content-Length': end - start };
      return { status: 206, start, end, headers };
    }
    default:
      return unreachable(range);
  }
}

/** Takes the blob from this repository, at once. */
export async function deleteBlob(
  exchange: Exchange,
  blobs: BlobStore,
  { repository, digest }: Addressed,
): Promise<void> {
  if (!(await blobs.delete(repository, digest))) throw unknownBlob(digest);
  exchange.respond(202, {});
}

function unknownBlob(digest: Digest): Refusal {
  return new Refusal(404, 'BLOB_UNKNOWN', 'the repository has no such blob', {
    detail: { digest: digest.toString() },
  });
}
