import type { NamedDevice } from './block-device.ts';
import type { ByteReader } from './byte-reader.ts';
import { ConnectionBroken, Magic } from './protocol.ts';

/** Something that a client asks for during the handshake. */
export interface Option {
  readonly type: number;
  readonly data: Buffer;
}

/** What a client and we have agreed on so far. */
export interface Agreement {
  isStructured: boolean;
  /** The device whose extents the client may ask about. */
  allocationOf: NamedDevice | undefined;
}

/** A name has 4096 bytes at most, and no client asks for many contexts. */
const MOST_DATA_BYTES = 64 * 1024;

/** @throws ConnectionBroken for what is none, or is larger than any that makes sense. */
export async function readOption(reader: ByteReader): Promise<Option> {
  const header = await reader.read(16);
  if (header.readBigUInt64BE(0) !== Magic.option) throw new ConnectionBroken('not an option');
  const length = header.readUInt32BE(12);
  if (length > MOST_DATA_BYTES) throw new ConnectionBroken('an option of too many bytes');
  return { type: header.readUInt32BE(8), data: await reader.read(length) };
}

/** One reply to an option; some options get several. */
export function optionReply(option: Option, kind: number, data: Uint8Array = new Uint8Array()): Buffer {
  const header = Buffer.alloc(20);
  header.writeBigUInt64BE(Magic.optionReply, 0);
  header.writeUInt32BE(option.type, 8);
  header.writeUInt32BE(kind, 12);
  header.writeUInt32BE(data.length, 16);
  return Buffer.concat([header, data]);
}

/**
 * A text with its length before it.
 * @returns undefined where the bytes end before it does.
 */
export function readText(data: Buffer, at: number): { readonly text: string; readonly end: number } | undefined {
  if (data.length < at + 4) return undefined;
  const end = at + 4 + data.readUInt32BE(at);
  return end > data.length ? undefined : { text: data.toString('utf8', at + 4, end), end };
}
