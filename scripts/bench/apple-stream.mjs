/** Apple's LZ4 streams taken apart, for programs that decode their blocks. */

/** The blocks of a stream: `{size, payload}`; `payload` is raw LZ4, or undefined with the bytes in `stored`. */
export function* blocksOf(stream) {
  for (let at = 0; ; ) {
    const magic = stream.toString('latin1', at, at + 4);
    if (magic === 'bv4$') return;
    const size = stream.readUInt32LE(at + 4);
    if (magic === 'bv4-') {
      yield { size, stored: stream.subarray(at + 8, at + 8 + size) };
      at += 8 + size;
    } else {
      const end = at + 12 + stream.readUInt32LE(at + 8);
      yield { size, payload: stream.subarray(at + 12, end) };
      at = end;
    }
  }
}

/** A block as lz4-napi wants it: its size in front. */
export function withSize({ size, payload }) {
  const block = Buffer.allocUnsafe(4 + payload.length);
  block.writeUInt32LE(size);
  payload.copy(block, 4);
  return block;
}
