/**
 * Writes the wire format of Protocol Buffers: a field is its number and wire type, then a varint, eight bytes, or a
 * length and so many bytes (protobuf.dev/programming-guides/encoding).
 */

/** How the value of a field is written, and where it ends. */
export const WireType = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;

/** A number that is not negative, e.g. an enumeration's, or a truth (0 or 1). */
export function uintField(field: number, value: number): Buffer {
  return Buffer.concat([tag(field, WireType.varint), varint(value)]);
}

/** Bytes, or an inner message that is encoded already. */
export function bytesField(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([tag(field, WireType.lengthDelimited), varint(value.length), value]);
}

/** UTF-8; half characters, which arguments of a process may have, become U+FFFD, because protobuf allows none. */
export function stringField(field: number, value: string): Buffer {
  return bytesField(field, Buffer.from(value, 'utf8'));
}

/** A message in a field. */
export function messageField(field: number, parts: readonly Uint8Array[]): Buffer {
  return bytesField(field, Buffer.concat(parts));
}

/** What stands before each value. */
export function tag(field: number, wireType: number): Buffer {
  return varint(field * 8 + wireType);
}

/** Seven bits to a byte, the least significant first; below 2^53. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}
