import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { fsyncFile, writeNewFile } from '../fs/fsync.ts';
import { writeOrigin } from '../home/origin.ts';
import { openDisk } from '../fs/plain-file.ts';
import { Scratch } from '../home/scratch.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { Digest } from '../names/digest.ts';
import type { LocalName } from '../names/local-name.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import type { TartImage } from '../oci/tart-image.ts';
import type { Session } from '../session/session.ts';
import { chooseImage } from './layout-image.ts';
import { openPipe } from './named-pipe.ts';
import { OciLayout } from './oci-layout.ts';
import { spoolStream } from './spooled-stream.ts';
import { unpackImage } from './unpack.ts';
import { withMac } from '../vm/config.ts';
import { parseVmConfig, serializeVmConfig } from '../vm/config-file.ts';
import { isMacTaken } from '../vm/mac-collision.ts';
import { MacAddress } from '../vm/mac-address.ts';

/** What is imported: a file or a directory, or bytes that come only once. */
export type ImportSource =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'stream'; readonly stream: Readable; readonly name: string };

/** Which image of an archive becomes the VM. */
export interface ImportOptions {
  /** Which image of the archive, by its name in the index or by digest. Needed only when there are several. */
  readonly reference?: string | undefined;
}

/** The VM that an archive became. */
export interface ImportOutcome {
  readonly name: LocalName;
  /** Digest of the image's manifest. */
  readonly digest: Digest;
  /** Whether the VM got a new MAC address, because another one here has its own. */
  readonly macChanged: boolean;
  /** Whether a stopped VM of that name went for it. */
  readonly replaced: boolean;
}

/**
 * Makes a local VM from an OCI image layout: a tar file that `exportVm` or skopeo wrote, or a directory. Every digest
 * and every size on the way from the index to the bytes of the disk is checked before anything is visible; when
 * anything is wrong, nothing is left. A stopped VM of the name is replaced, as Tart does; a running one never.
 *
 * @throws TartletError `NOT_FOUND`, `MEDIA_UNSUPPORTED` for what is no such archive, `ARCHIVE_INVALID` for a damaged or
 * hostile one, `DIGEST_MISMATCH`, `SIZE_MISMATCH`, `CHUNK_CORRUPT`, `CONFIG_INVALID`, `VM_RUNNING`, `VM_EXISTS`,
 * `DISK_*`.
 */
export async function importVm(
  session: Session,
  source: ImportSource,
  name: LocalName,
  options: ImportOptions = {},
): Promise<ImportOutcome> {
  await session.vms.refuseRunning(name);
  const file = await readableOnce(session, source);
  if (file.kind === 'path') return importLayout(session, file.path, file.path, name, options);
  await session.home.prepare();
  const spool = await Scratch.create(session.home, session.platform);
  try {
    const path = `${spool.directory}/archive.tar`;
    await spoolStream(file.stream, file.name, path, session.signal);
    return await importLayout(session, path, file.name, name, options);
  } finally {
    await spool.dispose();
  }
}

/** A pipe with a name, as shells make them for `<(…)`, and a device are streams. */
async function readableOnce(session: Session, source: ImportSource): Promise<ImportSource> {
  if (source.kind === 'stream') return source;
  const { path } = source;
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined || stats.isFile() || stats.isDirectory()) return source;
  const stream = stats.isFIFO() ? await openPipe(path, 'read', session.signal) : createReadStream(path);
  return { kind: 'stream', stream, name: path };
}

async function importLayout(
  session: Session,
  path: string,
  archive: string,
  name: LocalName,
  options: ImportOptions,
): Promise<ImportOutcome> {
  const layout = await OciLayout.open(path, archive, session.signal);
  const image = await chooseImage(layout, options.reference, session.signal);
  requireFlat(image, archive);
  const { config, manifest } = image;
  const bytes = await layout.smallBlob(config, 'VM configuration', MAX_MANIFEST_BYTES);
  // Before the disk is unpacked: a configuration that Tart would not read makes no VM.
  parseVmConfig(bytes, archive);
  await session.home.prepare();
  const scratch = await Scratch.createForVm(session.home, session.platform);
  try {
    await writeNewFile(`${scratch.directory}/${VmFile.config}`, bytes);
    await unpackImage(session, layout, image, scratch.directory);
    await refuseOtherFormat(`${scratch.directory}/${VmFile.disk}`, archive);
    await writeOrigin(scratch.directory, {
      version: 1,
      via: 'import',
      digest: manifest.digest.toString(),
      importedAt: session.now().toISOString(),
    });
    for (const file of [VmFile.nvram, VmFile.disk]) await fsyncFile(`${scratch.directory}/${file}`);
    session.signal.throwIfAborted();
    const done = await session.vms.underLock(session.signal, async () => {
      const macChanged = await avoidSameMac(session, bytes, scratch.directory, name);
      return { macChanged, replaced: await session.vms.publish(scratch, name) };
    });
    session.emit({ kind: 'finished', subject: archive });
    return { name, digest: manifest.digest, ...done };
  } finally {
    await scratch.dispose();
  }
}

function requireFlat(image: TartImage, archive: string): void {
  if (image.layout === 'flat') return;
  throw new TartletError('NEEDS_MACOS', `${archive} holds a stacked image: only macOS 27 can put its disk together`, {
    subject: archive,
    kept: 'nothing was changed',
    next: { kind: 'copy-to-registry' },
  });
}

/** The configuration stays as it is, byte for byte, unless another VM has its MAC address. */
async function avoidSameMac(session: Session, bytes: Uint8Array, directory: string, name: LocalName): Promise<boolean> {
  const config = parseVmConfig(bytes, name.text);
  if (!(await isMacTaken(session, config.mac, name))) return false;
  const changed = withMac(config, MacAddress.random(randomBytes));
  await writeNewFile(`${directory}/${VmFile.config}`, serializeVmConfig(changed, 'file'));
  return true;
}

/**
 * How disks begin that hypervisors would open as something else, with a file of the host's behind it (reliability S29).
 */
const OTHER_FORMATS = [
  { magic: Buffer.from('QFI\xfb', 'latin1'), format: 'qcow2' },
  { magic: Buffer.from('KDMV', 'latin1'), format: 'VMDK' },
  { magic: Buffer.from('# Disk DescriptorFile', 'latin1'), format: 'VMDK' },
] as const;

async function refuseOtherFormat(disk: string, archive: string): Promise<void> {
  const head = Buffer.alloc(32);
  await onDisk('read', disk, async () => {
    const handle = await openDisk(disk);
    try {
      await handle.read(head, 0, head.length, 0);
    } finally {
      await handle.close();
    }
  });
  const other = OTHER_FORMATS.find(({ magic }) => head.subarray(0, magic.length).equals(magic));
  if (other === undefined) return;
  throw new TartletError('MEDIA_UNSUPPORTED', `the disk in ${archive} is a ${other.format} file, not a disk of Tart`, {
    subject: archive,
    kept: 'nothing was changed',
    next: { kind: 'convert-to-raw' },
  });
}
