import type { ByteRange } from '../fs/disk/read-range.ts';
import type { Extent } from './block-device.ts';
import { Allocation, ALLOCATION, ChunkFlag, ChunkType, Magic } from './protocol.ts';

/** By what a client knows which of its requests is answered: eight bytes as they came. */
export type Cookie = Uint8Array;

/** The beginning of a simple reply; behind it come the bytes of a read that has no error, and nothing else. */
export function simpleReply(cookie: Cookie, errno: number): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32BE(Magic.simpleReply, 0);
  header.writeUInt32BE(errno, 4);
  header.set(cookie, 8);
  return header;
}

/**
 * The beginning of one chunk of a structured reply.
 * @param bytes of its content.
 */
function chunk(cookie: Cookie, { type, isLast, bytes }: { type: number; isLast: boolean; bytes: number }): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt32BE(Magic.structuredReply, 0);
  header.writeUInt16BE(isLast ? ChunkFlag.done : 0, 4);
  header.writeUInt16BE(type, 6);
  header.set(cookie, 8);
  header.writeUInt32BE(bytes, 16);
  return header;
}

/** The chunk that ends a reply without saying anything. */
export function doneChunk(cookie: Cookie): Buffer {
  return chunk(cookie, { type: ChunkType.none, isLast: true, bytes: 0 });
}

/** The beginning of a chunk of data; its bytes come behind it. */
export function dataChunk(cookie: Cookie, { offset, length }: ByteRange, isLast: boolean): Buffer {
  const at = Buffer.alloc(8);
  at.writeBigUInt64BE(BigInt(offset));
  return Buffer.concat([chunk(cookie, { type: ChunkType.offsetData, isLast, bytes: 8 + length }), at]);
}

/** A chunk that says that there are zeros. */
export function holeChunk(cookie: Cookie, { offset, length }: ByteRange, isLast: boolean): Buffer {
  const content = Buffer.alloc(12);
  content.writeBigUInt64BE(BigInt(offset), 0);
  content.writeUInt32BE(length, 8);
  return Buffer.concat([chunk(cookie, { type: ChunkType.offsetHole, isLast, bytes: 12 }), content]);
}

/** The chunk that ends a reply with an error. */
export function errorChunk(cookie: Cookie, errno: number): Buffer {
  const content = Buffer.alloc(6);
  content.writeUInt32BE(errno, 0);
  return Buffer.concat([chunk(cookie, { type: ChunkType.error, isLast: true, bytes: 6 }), content]);
}

/** The one chunk of an answer about extents, which begins at the first. */
export function extentsChunk(cookie: Cookie, extents: readonly Extent[]): Buffer {
  const content = Buffer.alloc(4 + 8 * extents.length);
  content.writeUInt32BE(ALLOCATION.id, 0);
  extents.forEach(({ kind, length }, at) => {
    content.writeUInt32BE(length, 4 + 8 * at);
    content.writeUInt32BE(kind === 'hole' ? Allocation.hole | Allocation.zero : 0, 8 + 8 * at);
  });
  const header = chunk(cookie, { type: ChunkType.blockStatus, isLast: true, bytes: content.length });
  return Buffer.concat([header, content]);
}
