import { onDisk } from '../../fs/disk-error.ts';
import { moveEntry } from '../../fs/entry.ts';
import { fsyncDirectory, fsyncFile } from '../../fs/fsync.ts';
import { removeEntry } from '../../fs/remove.ts';
import { exists } from '../../fs/stats.ts';
import { LazyFile, OurFile, VmFile } from '../home-entry.ts';

/**
 * Gives the disk of a VM, which has everything now, its name: one rename, before which the VM is as lazy as it was, and
 * after which it is one like all others. Where it cannot be made lasting, the name is taken back: its caller goes on
 * with what the guest wrote, and nothing may say that the disk has everything.
 *
 * @throws TartletError `DISK_*`; there is no disk of that name then.
 */
export async function commitLazyDisk(directory: string): Promise<void> {
  const whole = `${directory}/${LazyFile.disk}`;
  await fsyncFile(whole);
  const named = `${directory}/${VmFile.disk}`;
  await onDisk('rename', whole, async () => moveEntry(whole, named));
  try {
    await fsyncDirectory(directory);
  } catch (error) {
    try {
      await moveEntry(named, whole);
    } catch {
      return; // It has its name, and so it is what counts.
    }
    throw error;
  }
}

/**
 * Removes what a VM does not need any more whose disk is whole; also of a process that was killed before it did.
 * The manifest of its image is kept as that of every clone.
 */
export async function removeLazyFiles(directory: string): Promise<void> {
  const record = `${directory}/${LazyFile.record}`;
  if (!(await exists(record))) return;
  const manifest = `${directory}/${LazyFile.manifest}`;
  if (await exists(manifest))
    await onDisk('rename', manifest, async () => moveEntry(manifest, `${directory}/${OurFile.baseManifest}`));
  const { overlay, newOverlay, socket, disk, touched, order } = LazyFile;
  for (const file of [overlay, newOverlay, socket, disk, touched, `${touched}.new`, order, `${LazyFile.record}.new`])
    await removeEntry(`${directory}/${file}`);
  // Last of all, and when the others are gone for good: what is killed before, or loses its power, goes on here.
  await fsyncDirectory(directory);
  await removeEntry(record);
  await fsyncDirectory(directory);
}
