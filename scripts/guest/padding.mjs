/** What lies behind the little guest, and what of that it reads when it starts. */
import { createCipheriv } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';

const MIB = 1024 * 1024;
const BLOCK_BYTES = 65_536;
/** Each so many MiB of the padding … */
const AREA_MIB = 128;
/** … blocks of so many MiB of it are read, as of what lies together in larger systems … */
const NEAR_MIB = 4;
/** … so many of each MiB. */
const BLOCKS_OF_A_MIB = 2;

/**
 * Fills a partition with what no encoder makes smaller, the same each time. Its first 4 KiB are the numbers of the
 * blocks of 64 KiB that the guest reads when it starts, as text, in no order of their places.
 *
 * @param {{ readonly start: number, readonly size: number }} partition in MiB.
 */
export function writePadding(disk, { start, size }) {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'padding'), Buffer.alloc(16));
  const fd = openSync(disk, 'r+');
  try {
    const zeros = Buffer.alloc(MIB);
    for (let at = 0; at < size; at += 1) {
      const bytes = cipher.update(zeros);
      if (at === 0) bytes.fill(0, 0, 4096).write(blocksToRead(size).join('\n'));
      writeSync(fd, bytes, 0, MIB, (start + at) * MIB);
    }
  } finally {
    closeSync(fd);
  }
}

function blocksToRead(size) {
  const blocks = [];
  for (let area = 0; area + NEAR_MIB * 3 <= size; area += AREA_MIB) {
    // Not one after the other: each second MiB, or what is read ahead would bring the next.
    for (let near = 0; near < NEAR_MIB; near += 1) {
      for (let each = 0; each < BLOCKS_OF_A_MIB; each += 1)
        blocks.push(((area + 1 + 3 * near) * MIB) / BLOCK_BYTES + 5 * (each + 1));
    }
  }
  // An order that is the same each time, and not that of the disk.
  return blocks.toSorted((a, b) => turnOf(a) - turnOf(b));
}

function turnOf(block) {
  return (block * 7919) % 10_007;
}
