/**
 * Prints the partitions of a disk that lies in a registry, without pulling the image: only the chunk with the table is
 * fetched, and verified.
 *
 *     node partition-table.js registry.example:8221/linux/debian:12
 */
import { openTartlet } from 'tartlet';

const SECTOR = 512;

await using tartlet = openTartlet();
await using image = await tartlet.image(process.argv[2] ?? '');
const header = Buffer.from(await image.disk.read({ offset: SECTOR, length: SECTOR }));
if (header.toString('latin1', 0, 8) !== 'EFI PART') throw new Error('the disk has no GPT');

const offset = Number(header.readBigUInt64LE(72)) * SECTOR;
const [count, size] = [header.readUInt32LE(80), header.readUInt32LE(84)];
const table = Buffer.from(await image.disk.read({ offset, length: count * size }));
for (let at = 0; at < table.length; at += size) {
  const first = Number(table.readBigUInt64LE(at + 32));
  if (first === 0) continue;
  const last = Number(table.readBigUInt64LE(at + 40));
  const name = table.toString('utf16le', at + 56, at + size).replace(/\0.*$/s, '');
  console.log(`${name || 'unnamed'}: ${(last - first + 1) * SECTOR} bytes at ${first * SECTOR}`);
}
