/** What the reference says to a stream: its bytes, or that it is none. */
export type Plain = { readonly bytes: number[] } | 'refused';

/**
 * An Apple LZ4 stream decoded in the plainest way, byte by byte into one long list, by the description alone
 * (tart-formats §5.1, LZ4 block format): something to hold the real decoder against. It shares no code and no idea with
 * it. Out of bounds means refused.
 */
export function plainDecode(stream: Uint8Array, expected: number): Plain {
  const out: number[] = [];
  let at = 0;
  const byte = (): number => {
    const value = stream[at];
    if (value === undefined) throw new RangeError('the stream ends');
    at += 1;
    return value;
  };
  const word = (): number => byte() + byte() * 2 ** 8 + byte() * 2 ** 16 + byte() * 2 ** 24;
  const run = (nibble: number): number => {
    let length = nibble;
    for (let more = nibble === 15 ? 255 : 0; more === 255; length += more) more = byte();
    return length;
  };
  const block = (size: number, payload: number): void => {
    const [start, end] = [out.length, at + payload];
    if (end > stream.length) throw new RangeError('the payload ends');
    for (;;) {
      const token = byte();
      const literals = run(Math.floor(token / 16));
      if (literals > end - at) throw new RangeError('literals beyond the block');
      for (let left = literals; left > 0; left -= 1) out.push(byte());
      if (out.length - start > size) throw new RangeError('more than declared');
      if (at === end) break;
      const offset = byte() + byte() * 256;
      const length = run(token % 16) + 4;
      if (offset === 0 || offset > out.length || at > end) throw new RangeError('no such match');
      if (out.length - start + length > size) throw new RangeError('more than declared');
      for (let left = length; left > 0; left -= 1) out.push(out[out.length - offset] ?? 0);
      if (at >= end) throw new RangeError('no last literals');
    }
    if (out.length - start !== size) throw new RangeError('less than declared');
  };
  try {
    for (;;) {
      const magic = String.fromCharCode(byte(), byte(), byte(), byte());
      if (magic === 'bv4$') break;
      const size = word();
      if (size === 0 || size > expected - out.length) throw new RangeError('the size is not right');
      if (magic === 'bv4-') for (let left = size; left > 0; left -= 1) out.push(byte());
      else if (magic === 'bv41') block(size, word());
      else throw new RangeError('no block');
    }
    return at === stream.length && out.length === expected ? { bytes: out } : 'refused';
  } catch (error) {
    if (error instanceof RangeError) return 'refused';
    throw error;
  }
}
