import { RpcFailure, RpcStatus } from './status.ts';

/*
 * How messages follow each other in a call: a byte that says whether it is compressed, four bytes of length, the
 * message (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md, Length-Prefixed-Message).
 */

const PREFIX_BYTES = 5;

/** The longest message that is taken, in bytes: what gRPC's own libraries take unless they are told otherwise. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** A message as it is sent. */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.alloc(PREFIX_BYTES + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

/**
 * The messages of a stream, one at a time: no more is read than one message and a piece.
 *
 * @throws RpcFailure for one that is too long, compressed (which was never agreed on), or not whole; and the stream's
 * own error.
 */
export async function* messagesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, undefined> {
  let pieces: Uint8Array[] = [];
  let held = 0;
  let needed = PREFIX_BYTES;
  for await (const piece of stream) {
    pieces.push(piece);
    held += piece.length;
    while (held >= needed) {
      const bytes = Buffer.concat(pieces);
      const length = lengthOf(bytes);
      needed = PREFIX_BYTES + length;
      if (held >= needed) {
        yield bytes.subarray(PREFIX_BYTES, needed);
        held -= needed;
        pieces = [bytes.subarray(needed)];
        needed = PREFIX_BYTES;
      } else pieces = [bytes];
    }
  }
  if (held > 0) throw new RpcFailure(RpcStatus.internal, 'the stream ended within a message');
}

function lengthOf(bytes: Buffer): number {
  if (bytes[0] !== 0) throw new RpcFailure(RpcStatus.internal, 'a message came compressed, which was not agreed on');
  const length = bytes.readUInt32BE(1);
  if (length <= MAX_MESSAGE_BYTES) return length;
  throw new RpcFailure(RpcStatus.resourceExhausted, `a message of ${length} bytes is longer than is allowed`);
}
