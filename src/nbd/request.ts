import type { ByteRange } from '../fs/disk/read-range.ts';
import type { ByteReader } from './byte-reader.ts';
import { BlockSize, Command, CommandFlag, ConnectionBroken, Errno, Magic } from './protocol.ts';
import type { Cookie } from './reply.ts';

/** What a client wants of a device. */
export type Request = { readonly cookie: Cookie } & (
  | { readonly kind: 'read'; readonly range: ByteRange; readonly isWhole: boolean }
  | { readonly kind: 'extents'; readonly range: ByteRange; readonly isFirstOnly: boolean }
  | { readonly kind: 'cache'; readonly range: ByteRange }
  | { readonly kind: 'flush' }
  /** It cannot be had. */
  | { readonly kind: 'refused'; readonly errno: number }
);

/** What was agreed on, as far as it decides which requests make sense. */
export interface Terms {
  /** Bytes of the device. */
  readonly size: number;
  readonly isStructured: boolean;
  readonly hasAllocation: boolean;
}

/**
 * The next request; of a write also the data, of which nothing is kept.
 *
 * @returns undefined when the client says that it leaves.
 * @throws ConnectionBroken for what is none
 */
export async function readRequest(reader: ByteReader, terms: Terms): Promise<Request | undefined> {
  const header = await reader.read(28);
  if (header.readUInt32BE(0) !== Magic.request) throw new ConnectionBroken('not a request');
  const flags = header.readUInt16BE(4);
  const type = header.readUInt16BE(6);
  const cookie = Uint8Array.from(header.subarray(8, 16));
  const length = header.readUInt32BE(24);
  if (type === Command.disconnect) return undefined;
  if (type === Command.write) {
    if (length > BlockSize.most) throw new ConnectionBroken('a write of too many bytes');
    await reader.skip(length);
  }
  const range = within(header.readBigUInt64BE(16), length, terms.size);
  return { cookie, ...meant({ type, flags, range }, terms) };
}

type Meant = Request extends infer Each ? (Each extends Request ? Omit<Each, 'cookie'> : never) : never;

function meant(
  { type, flags, range }: { readonly type: number; readonly flags: number; readonly range: ByteRange | undefined },
  { isStructured, hasAllocation }: Terms,
): Meant {
  const only = (...known: readonly number[]): boolean => (flags & ~known.reduce((sum, each) => sum | each, 0)) === 0;
  switch (type) {
    case Command.read: {
      const isWhole = (flags & CommandFlag.dontFragment) !== 0;
      const isKnown = only(CommandFlag.fua, CommandFlag.dontFragment) && (isStructured || !isWhole);
      if (range === undefined || range.length > BlockSize.most || !isKnown) return INVALID;
      return { kind: 'read', range, isWhole };
    }
    case Command.blockStatus:
      if (range === undefined || !hasAllocation || !only(CommandFlag.fua, CommandFlag.requestOne)) return INVALID;
      return { kind: 'extents', range, isFirstOnly: (flags & CommandFlag.requestOne) !== 0 };
    case Command.cache:
      return range === undefined || !only(CommandFlag.fua) ? INVALID : { kind: 'cache', range };
    case Command.flush:
      return only(CommandFlag.fua) ? { kind: 'flush' } : INVALID;
    case Command.write:
    case Command.trim:
    case Command.writeZeroes:
      return { kind: 'refused', errno: Errno.notPermitted };
    default:
      return INVALID;
  }
}

const INVALID = { kind: 'refused', errno: Errno.invalid } as const;

function within(offset: bigint, length: number, size: number): ByteRange | undefined {
  if (length === 0 || offset + BigInt(length) > BigInt(size)) return undefined;
  return { offset: Number(offset), length };
}
