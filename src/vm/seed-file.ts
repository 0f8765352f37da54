import { randomUUID } from 'node:crypto';
import { seedFor, type SeedContent, writeSeed } from '../cloud-image/seed.ts';
import { writeNewFile } from '../fs/fsync.ts';
import { modeIn } from '../fs/sharing.ts';
import { readSmallFileIfThere } from '../fs/small-file.ts';
import { SEED } from '../home/home-entry.ts';

/** There are passwords in it as a rule. */
const MODE = 0o600;

/** Puts what cloud-init is told into the directory of a new VM. @throws TartletError `DISK_*` */
export async function writeSeedFile(directory: string, content: SeedContent, vmName: string): Promise<void> {
  await write(directory, writeSeed(content, { instanceId: randomUUID(), vmName }));
}

/**
 * Takes it along to a clone: with an id of its own, so that the clone gets its own name and keys, unless the guest goes
 * on from its memory and is the one it was.
 *
 * @throws TartletError `DISK_*`
 */
export async function copySeedFile(
  from: string,
  to: { readonly directory: string; readonly vmName: string; readonly goesOn: boolean },
): Promise<void> {
  const seed = await readSmallFileIfThere(`${from}/${SEED}`);
  if (seed === undefined) return;
  const identity = { instanceId: randomUUID(), vmName: to.vmName };
  await write(to.directory, (to.goesOn ? undefined : seedFor(seed, identity)) ?? seed);
}

async function write(directory: string, image: Uint8Array): Promise<void> {
  await writeNewFile(`${directory}/${SEED}`, image, await modeIn(directory, MODE));
}
