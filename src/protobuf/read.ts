import { TartletError } from '../errors.ts';
import { WireType } from './write.ts';

/*
 * Reads the wire format of Protocol Buffers, from programs that are not trusted: whatever the bytes say, no more is
 * looked at than there is, and nothing is copied.
 */

/** A field of a message: a number, or bytes, which may be a text or a message themselves. */
export type Field =
  | { readonly number: number; readonly kind: 'number'; readonly value: bigint }
  | { readonly number: number; readonly kind: 'bytes'; readonly value: Uint8Array };

/** Ten bytes are 70 bits, of which 64 count. */
const MOST_VARINT_BYTES = 10;

/**
 * The fields of a message, in their order. A reader passes over those that it does not know, as the format asks.
 *
 * @throws TartletError `NET_PROTOCOL` for bytes that are no message
 */
export function* fieldsOf(message: Uint8Array): Generator<Field, void, undefined> {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  for (let at = 0; at < bytes.length; ) {
    const key = varintAt(bytes, at);
    const number = Number(key.value >> 3n);
    at = key.end;
    switch (Number(key.value & 7n)) {
      case WireType.varint: {
        const { value, end } = varintAt(bytes, at);
        yield { number, kind: 'number', value };
        at = end;
        break;
      }
      case WireType.lengthDelimited: {
        const length = varintAt(bytes, at);
        const end = length.end + Number(length.value);
        if (end > bytes.length) throw noMessage();
        yield { number, kind: 'bytes', value: bytes.subarray(length.end, end) };
        at = end;
        break;
      }
      case WireType.fixed64:
        at = after(bytes, at, 8);
        break;
      case WireType.fixed32:
        at = after(bytes, at, 4);
        break;
      default:
        throw noMessage();
    }
  }
}

function after(bytes: Buffer, at: number, length: number): number {
  if (at + length > bytes.length) throw noMessage();
  return at + length;
}

function varintAt(bytes: Buffer, at: number): { readonly value: bigint; readonly end: number } {
  let value = 0n;
  for (let index = 0; index < MOST_VARINT_BYTES; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) throw noMessage();
    value |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte < 0x80) return { value: BigInt.asUintN(64, value), end: at + index + 1 };
  }
  throw noMessage();
}

function noMessage(): TartletError {
  return new TartletError('NET_PROTOCOL', 'the bytes are no message of Protocol Buffers');
}
