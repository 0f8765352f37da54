/*
 * The numbers of the NBD protocol (`doc/proto.md` of NetworkBlockDevice/nbd), as far as a server needs them that only
 * gives. All integers are in network order.
 */

/** What messages begin with. */
export const Magic = {
  /** `NBDMAGIC`, the server's first bytes. */
  greeting: 0x4e42444d41474943n,
  /** `IHAVEOPT`, which ends the greeting and begins each option. */
  option: 0x49484156454f5054n,
  optionReply: 0x0003e889045565a9n,
  request: 0x25609513,
  simpleReply: 0x67446698,
  structuredReply: 0x668e33ef,
} as const;

/** Flags of the server's greeting, and of the client's answer to it: the same two bits. */
export const HandshakeFlag = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const OptionType = {
  exportName: 1,
  abort: 2,
  list: 3,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

export const OptionReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 0x80000001,
  invalid: 0x80000003,
  unknown: 0x80000006,
} as const;

export const InfoType = { export: 0, blockSize: 3 } as const;

/** What a device is to clients. */
export const TransmissionFlag = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  sendFlush: 1 << 2,
  /** Only where replies are structured. */
  sendDf: 1 << 7,
  canMultiConn: 1 << 8,
  sendCache: 1 << 10,
} as const;

export const Command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const CommandFlag = {
  /** Ignored where nothing is written. */
  fua: 1 << 0,
  /** The data of a read comes in one piece. */
  dontFragment: 1 << 2,
  /** Of the extents only the first is wanted. */
  requestOne: 1 << 3,
} as const;

export const ChunkFlag = { done: 1 } as const;

export const ChunkType = { none: 0, offsetData: 1, offsetHole: 2, blockStatus: 5, error: 0x8001 } as const;

/** Errors as the protocol knows them: numbers of Linux. */
export const Errno = { none: 0, notPermitted: 1, io: 5, invalid: 22 } as const;

/** The one thing that clients can ask about a device beside its bytes, and the number that it has with us. */
export const ALLOCATION = { name: 'base:allocation', id: 1 } as const;

/** Flags of an extent in answers about {@link ALLOCATION}. */
export const Allocation = { hole: 1, zero: 2 } as const;

/** What a device takes in one request, in bytes. */
export const BlockSize = { least: 1, preferred: 64 * 1024, most: 32 * 1024 * 1024 } as const;

/** A client does not keep to the protocol, or has gone: its connection ends, without another word. */
export class ConnectionBroken extends Error {
  override readonly name = 'ConnectionBroken';
}
