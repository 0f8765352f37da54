import { readFile, rm, statfs } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import * as v from 'valibot';
import { isTartletError, systemCode } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import { fileState } from './file-state.ts';
import { writeNewFile } from './folder.ts';
import { readPlainFile } from './plain-file.ts';
import { VmFile } from './vm-folder.ts';

/*
 * A seal tells that a disk is, byte for byte, what the manifest beside it says, so that nobody need read it to find out. It is broken by
 * whoever writes to the disk, because the kernel notes the time of every change and lets nobody set that one back (ctime, inode(7)).
 * What can go wrong with times, and why it does not here:
 *
 * - Two changes within one tick of the clock look like one: the seal is written after the clock has gone on, which its own date proves.
 * - After a crash the data may be newer than the time: a seal is worth nothing after the next start of the machine.
 * - Writes through memory maps, or from other machines, may set no time: only file systems are believed that do, and are of this machine.
 *
 * Without a seal the disk is hashed: one that is missing, broken or not understood harms nobody, and is no error.
 */

/** Beside the disk of an image or a VM; Tart ignores it. */
export const SEAL_FILE = '.disk-seal.json';

/** As Linux numbers them: ext4 (and ext2, ext3, whose whole seconds are found out below), XFS, Btrfs. */
const EXACT_FILE_SYSTEMS: ReadonlySet<number> = new Set([0xef53, 0x58465342, 0x9123683e]);

/** Anew at each start of the machine (random(4)). */
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** Clocks of file systems go on after 10 ms at the latest, unless they know whole seconds only. */
const CLOCK_TRIES = 20;

const SECOND_NS = 1_000_000_000n;

const seal = v.object({
  version: v.literal(1),
  /** Digest of the manifest beside the disk. */
  manifest: v.string(),
  /** The disk as it was sealed, see `FileState.touched`. */
  state: v.string(),
  /** The start of the machine within which the times of files tell the truth. */
  boot: v.string(),
});

/**
 * Seals the disk of a folder that nobody else knows yet. The disk must be finished and flushed, and what the manifest says.
 * Does nothing where times of files prove nothing, and where the seal cannot be written: it saves time, and is worth no failure.
 *
 * @param manifest digest of the manifest that lies, or will lie, beside the disk.
 */
export async function sealDisk(folder: string, manifest: Digest, platform: NodeJS.Platform): Promise<void> {
  const file = `${folder}/${SEAL_FILE}`;
  try {
    const boot = await bootOf(folder, platform);
    if (boot === undefined) return;
    const disk = await fileState(`${folder}/${VmFile.disk}`);
    if (disk.changedNs % SECOND_NS === 0n) return;
    const text = JSON.stringify({ version: 1, manifest: manifest.toString(), state: disk.touched, boot });
    for (let tries = 0; tries < CLOCK_TRIES; tries += 1) {
      await writeNewFile(file, `${text}\n`);
      if ((await fileState(file)).changedNs > disk.changedNs) return;
      await setTimeout(1);
    }
    await rm(file);
  } catch (error) {
    if (!isTartletError(error) && systemCode(error) === undefined) throw error;
    await rm(file, { force: true }).catch(() => undefined); // Where it cannot be removed, it names another time or start.
  }
}

/**
 * How the disk of a folder is, if nobody can have written to it since it was sealed.
 *
 * @param manifest digest of what lies beside the disk now.
 * @returns its `FileState.touched`, to be compared again after whatever is done with the disk; undefined when it has to be hashed.
 */
export async function sealedState(
  folder: string,
  manifest: Digest,
  platform: NodeJS.Platform,
): Promise<string | undefined> {
  try {
    const found = v.safeParse(seal, JSON.parse((await readPlainFile(`${folder}/${SEAL_FILE}`)).toString()));
    if (!found.success || found.output.manifest !== manifest.toString()) return undefined;
    if (found.output.boot !== (await bootOf(folder, platform))) return undefined;
    const [disk, sealed] = await Promise.all(
      [VmFile.disk, SEAL_FILE].map(async (name) => fileState(`${folder}/${name}`)),
    );
    if (disk === undefined || sealed === undefined || sealed.changedNs <= disk.changedNs) return undefined;
    return disk.touched === found.output.state ? disk.touched : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || isTartletError(error) || systemCode(error) !== undefined) return undefined;
    throw error;
  }
}

/** Which start of the machine this is; undefined where the times of files in a folder prove nothing. */
async function bootOf(folder: string, platform: NodeJS.Platform): Promise<string | undefined> {
  if (platform !== 'linux' || !EXACT_FILE_SYSTEMS.has((await statfs(folder)).type)) return undefined;
  const boot = (await readFile(BOOT_ID, 'utf8')).trim();
  return boot === '' ? undefined : boot;
}
