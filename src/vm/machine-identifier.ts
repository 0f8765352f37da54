/** `bplist00`, the first bytes of every binary property list. */
const MAGIC = Buffer.from('bplist00', 'latin1');

/** A dictionary of one entry: its key is object 1, its value object 2. */
const DICTIONARY = Buffer.from([0xd1, 1, 2]);

/** A string of four ASCII characters. */
const KEY = Buffer.concat([Buffer.from([0x54]), Buffer.from('ECID', 'latin1')]);

/** What precedes an integer of eight bytes. */
const INTEGER = 0x13;

/**
 * A new machine identifier for a macOS guest, from which its serial number comes: what Tart keeps under `ecid`, the
 * base64 of a binary property list `{ECID: number}` (tart-formats §3). Its 57 bytes are laid out here by hand: objects,
 * their offsets, and a trailer of 32 bytes that says how wide offsets and references are, how many objects there are,
 * which is the top one, and where the offsets begin.
 *
 * @param randomBytes makes so many unpredictable bytes: `randomBytes` of `node:crypto`.
 */
export function newMachineIdentifier(randomBytes: (count: number) => Uint8Array): string {
  const number = Buffer.from(randomBytes(8));
  // The format reads eight bytes as a signed number: keep it positive, and never zero.
  number[0] = (number[0] ?? 0) & 0x7f;
  number[7] = (number[7] ?? 0) | 1;
  const objects = [DICTIONARY, KEY, Buffer.concat([Buffer.from([INTEGER]), number])];
  const offsets: number[] = [];
  let end = MAGIC.length;
  for (const object of objects) {
    offsets.push(end);
    end += object.length;
  }
  const trailer = Buffer.alloc(32);
  trailer[6] = 1; // Bytes of an offset.
  trailer[7] = 1; // Bytes of a reference to an object.
  trailer.writeBigUInt64BE(BigInt(objects.length), 8);
  trailer.writeBigUInt64BE(0n, 16); // The dictionary.
  trailer.writeBigUInt64BE(BigInt(end), 24);
  return Buffer.concat([MAGIC, ...objects, Buffer.from(offsets), trailer]).toString('base64');
}
