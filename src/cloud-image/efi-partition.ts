import type { DiskReader } from './disk-reader.ts';
import { readPartitionTable } from './partition-table.ts';

/** What EFI partitions are called in the new table (UEFI Specification §5.3.3) and in the old one. */
const EFI_TYPES: ReadonlySet<string> = new Set(['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', 'ef']);

/** Where the EFI partitions of a disk begin, in bytes. None where there is no table, or one that cannot be true. */
export async function efiPartitions(read: DiskReader): Promise<number[]> {
  const { partitions } = await readPartitionTable(read);
  return partitions.filter(({ type }) => EFI_TYPES.has(type)).map(({ offset }) => offset);
}
