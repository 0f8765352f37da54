import { tag, WireType } from '../../protobuf/write.ts';

/*
 * What only spans have of the wire format of Protocol Buffers: numbers of a fixed length.
 */

export function fixed64Field(field: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return Buffer.concat([tag(field, WireType.fixed64), bytes]);
}

export function fixed32Field(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return Buffer.concat([tag(field, WireType.fixed32), bytes]);
}
