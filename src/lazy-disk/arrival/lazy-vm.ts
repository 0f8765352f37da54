import { TartletError } from '../../errors.ts';
import { isOwnFile } from '../../fs/own-file.ts';
import { readSmallFileIfThere } from '../../fs/small-file.ts';
import { LazyFile } from '../../home/home-entry.ts';
import { type LazyRecord, readLazyRecord } from '../../home/lazy-record.ts';
import { RemoteName } from '../../names/remote-name.ts';
import { MAX_MANIFEST_BYTES, parseManifest, requireImage } from '../../oci/manifest.ts';
import { type FlatImage, parseTartImage } from '../../oci/tart-image.ts';
import { requireOwnData } from './overlay-header.ts';

/** A VM whose disk has still to arrive, understood. */
export interface LazyVm {
  readonly name: string;
  readonly directory: string;
  readonly record: LazyRecord;
  /**
   * Whether its registry is spoken to by plain HTTP, where a login could be read on the way: only if no other user can
   * have written that into the record.
   */
  readonly insecure: boolean;
  /** Of the image, with its digest. */
  readonly imageName: RemoteName;
  readonly image: FlatImage;
}

/** @throws TartletError `VM_INVALID` for a record that cannot be used, `MANIFEST_INVALID`, `DISK_*` */
export async function understandLazyVm({ name, directory }: Pick<LazyVm, 'name' | 'directory'>): Promise<LazyVm> {
  const record = readLazyRecord(directory);
  const imageName = record === undefined ? undefined : RemoteName.tryParse(record.image);
  const file = `${directory}/${LazyFile.manifest}`;
  const bytes = await readSmallFileIfThere(file, MAX_MANIFEST_BYTES);
  if (bytes === undefined) throw notUnderstood(name, `there is no ${file}`);
  const image = parseTartImage(requireImage(parseManifest(bytes), name), name);
  const isThatImage = imageName?.digest?.equals(image.manifest.digest) === true;
  if (record === undefined || imageName === undefined || !isThatImage || image.layout !== 'flat')
    throw notUnderstood(name, `${file} is not the manifest of ${record?.image ?? 'its image'}`);
  if (record.diskBytes < image.base.size)
    throw notUnderstood(name, `${directory}/${LazyFile.record} says that it has ${record.diskBytes} bytes`);
  await requireOwnData(directory, name);
  const insecure = record.insecure && (await isOwnFile(`${directory}/${LazyFile.record}`));
  return { name, directory, record, insecure, imageName, image };
}

/** What is to be told where the record asks for plain HTTP, and another user may have written that. */
export function whyByTls({ directory, record, insecure }: LazyVm): string | undefined {
  if (!record.insecure || insecure) return undefined;
  const file = `${directory}/${LazyFile.record}`;
  return `the registry is asked by TLS: another user may have written into ${file} that it has none`;
}

function notUnderstood(name: string, why: string): TartletError {
  return new TartletError('VM_INVALID', `the disk of the VM "${name}" cannot arrive: ${why}`, {
    subject: name,
    kept: 'it was left alone',
    next: { kind: 'restore-missing' },
  });
}
