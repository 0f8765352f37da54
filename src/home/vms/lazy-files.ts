import { onDisk } from '../../fs/disk-error.ts';
import { moveEntry } from '../../fs/entry.ts';
import { fsyncDirectory, fsyncFile } from '../../fs/fsync.ts';
import { removeEntry } from '../../fs/remove.ts';
import { exists } from '../../fs/stats.ts';
import { LazyFile, OurFile, VmFile } from '../home-entry.ts';

/**
 * Gives the disk of a VM, which has everything now, its name: one rename, before which the VM is as lazy as it was, and
 * after which it is one like all others. @throws TartletError `DISK_*`
 */
export async function commitLazyDisk(directory: string): Promise<void> {
  const whole = `${directory}/${LazyFile.disk}`;
  await fsyncFile(whole);
  await onDisk('rename', whole, async () => moveEntry(whole, `${directory}/${VmFile.disk}`));
  await fsyncDirectory(directory);
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
