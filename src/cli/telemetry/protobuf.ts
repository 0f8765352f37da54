/**
 * The wire format of Protocol Buffers, as far as a span needs it: a field is its number and wire type, then a varint, eight
 * bytes, or a length and so many bytes (protobuf.dev/programming-guides/encoding).
 */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** A number that is not negative, e.g. an enumeration's. */
export function uintField(field: number, value: number): Buffer {
  return Buffer.concat([tag(field, VARINT), varint(value)]);
}

export function fixed64Field(field: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return Buffer.concat([tag(field, FIXED64), bytes]);
}

export function fixed32Field(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return Buffer.concat([tag(field, FIXED32), bytes]);
}

/** Bytes, or an inner message that is encoded already. */
export function bytesField(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([tag(field, LENGTH_DELIMITED), varint(value.length), value]);
}

/** UTF-8; half characters, which arguments of a process may have, become U+FFFD, because protobuf allows none. */
export function stringField(field: number, value: string): Buffer {
  return bytesField(field, Buffer.from(value, 'utf8'));
}

/** A message in a field. */
export function messageField(field: number, parts: readonly Uint8Array[]): Buffer {
  return bytesField(field, Buffer.concat(parts));
}

function tag(field: number, wireType: number): Buffer {
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
