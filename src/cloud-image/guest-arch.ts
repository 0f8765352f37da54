import { onDisk } from '../fs/disk-error.ts';
import { openDisk } from '../fs/plain-file.ts';
import { readerOf } from './disk-reader.ts';
import { efiPartitions } from './efi-partition.ts';
import { namesInFat } from './fat-directory.ts';

/** What a firmware starts where nothing else was agreed, by architecture (UEFI Specification §3.5.1.1). */
const LOADERS = { amd64: 'BOOTX64.EFI', arm64: 'BOOTAA64.EFI' } as const;

/**
 * For which processors a disk has something to start, by the loaders in its EFI partitions.
 *
 * @param disk a raw one. Nothing of it is trusted.
 * @throws TartletError `DISK_*`
 */
export async function archsOnDisk(disk: string): Promise<('amd64' | 'arm64')[]> {
  return onDisk('read', disk, async () => {
    const file = await openDisk(disk);
    try {
      const read = readerOf(file);
      const names = new Set<string>();
      for (const start of await efiPartitions(read)) {
        for (const name of await namesInFat(read, start, ['EFI', 'BOOT'])) names.add(name);
      }
      return (['amd64', 'arm64'] as const).filter((arch) => names.has(LOADERS[arch]));
    } finally {
      await file.close();
    }
  });
}
