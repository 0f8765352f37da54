import { Digest } from '../../names/digest.ts';
import { readOrigin } from '../origin.ts';
import type { Store } from './prune-candidate.ts';

/**
 * Digests of the images that running VMs were cloned from. Their disks are their own, but what a VM changes is pushed
 * by what it shares with its image, and the next VM of the kind is cloned from it: to make room, it goes last of all. A
 * VM without a record, or with one that cannot be read, tells nothing.
 *
 * @throws TartletError `DISK_*` when the VMs cannot be listed.
 */
export async function imagesInUse(store: Pick<Store, 'home' | 'vms'>): Promise<ReadonlySet<string>> {
  const digests = new Set<string>();
  for (const vm of store.vms.list()) {
    const digest = await store.home.unreadable.passOverLater(vm.directory.path, async () => {
      if ((await store.vms.state(vm)) !== 'running') return undefined;
      const record = await readOrigin(vm.directory.path).catch(() => undefined);
      return record?.via === 'clone' ? record.digest : undefined;
    });
    const parsed = digest === undefined ? undefined : Digest.tryParse(digest);
    if (parsed !== undefined) digests.add(parsed.toString());
  }
  return digests;
}
