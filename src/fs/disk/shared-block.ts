import { execFile } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { promisify } from 'node:util';
import { onDisk } from '../disk-error.ts';
import { SYSTEM_ENVIRONMENT, systemProgram } from '../system-program.ts';

/**
 * Types of file systems, as Linux numbers them, on which no two files can share blocks: ext2, 3 and 4, tmpfs, ramfs,
 * vfat.
 */
const NEVER_SHARING: ReadonlySet<number> = new Set([0xef53, 0x01021994, 0x858458f6, 0x4d44]);

/**
 * One extent as `filefrag -v` lists it: number, logical range, physical range, length, an expected place perhaps, and
 * flags.
 */
const EXTENT = /^\s*\d+:\s*\d+\.\.\s*\d+:\s*(\d+)\.\.\s*\d+:\s*(\d+):(?:\s*\d+:)?\s*([a-z_,]*)\s*$/gm;

const UNIT_BYTES = 512;

/** Blocks of a file system that several files have, in bytes from its beginning. */
export interface SharedExtent {
  readonly start: number;
  readonly end: number;
}

/**
 * How many bytes of a file lie in blocks that other files share (reflinks): deleting the file frees the rest only. Node
 * cannot ask the kernel; e2fsprogs can where it is installed.
 *
 * @returns undefined where the file system does not tell, as on APFS. @throws TartletError `DISK_*`
 */
export async function sharedBlockBytes(file: string): Promise<number | undefined> {
  const extents = await sharedExtents(file);
  return extents?.reduce((sum, { start, end }) => sum + end - start, 0);
}

/** Where these are, so that they can be counted once for all files that have them. See {@link sharedBlockBytes}. */
export async function sharedExtents(file: string): Promise<readonly SharedExtent[] | undefined> {
  if (await neverSharesBlocks(file)) return [];
  const program = systemProgram('filefrag');
  const listing = program === undefined ? undefined : await listExtents(program, file);
  return listing === undefined ? undefined : parseShared(listing);
}

/**
 * Whether a file lies where no two files can share blocks, so that every copy needs room for all of it. @throws
 * TartletError `DISK_*`
 */
export async function neverSharesBlocks(file: string): Promise<boolean> {
  const { type } = await onDisk('look at', file, async () => statfs(file));
  return NEVER_SHARING.has(type);
}

async function listExtents(program: string, file: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(program, [`-b${UNIT_BYTES}`, '-v', '--', file], {
      timeout: 30_000,
      maxBuffer: 256 * 1024 * 1024,
      env: SYSTEM_ENVIRONMENT,
    });
    return stdout;
  } catch {
    return undefined; // A file system that does not list extents.
  }
}

/** @internal exported for its test: the file system of our CI shares nothing. */
export function parseShared(listing: string): SharedExtent[] {
  const extents: SharedExtent[] = [];
  for (const [, start, length, flags] of listing.matchAll(EXTENT)) {
    if (!(flags ?? '').split(',').includes('shared')) continue;
    extents.push({ start: Number(start) * UNIT_BYTES, end: (Number(start) + Number(length)) * UNIT_BYTES });
  }
  return extents;
}
