import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { MIB } from './disk.mjs';

/**
 * Lets the system have as much memory as a disk takes, before the clock starts: where it is a guest itself, its host
 * takes back within seconds what was freed by removing the last disk, and giving it again took longer than copying the
 * disk.
 */
export function takeMemory(work, bytes) {
  const file = `${work}/memory`;
  const fd = openSync(file, 'w');
  const piece = Buffer.alloc(MIB, 1);
  for (let at = 0; at < bytes; at += MIB) writeSync(fd, piece);
  closeSync(fd);
  rmSync(file);
}
