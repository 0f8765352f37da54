import { TartletError } from '../../errors.ts';
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
  return { name, directory, record, imageName, image };
}

function notUnderstood(name: string, why: string): TartletError {
  return new TartletError('VM_INVALID', `the disk of the VM "${name}" cannot arrive: ${why}`, {
    subject: name,
    kept: 'it was left alone',
    next: { kind: 'restore-missing' },
  });
}
