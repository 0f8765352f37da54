import path from 'node:path';
import { isTartletError, TartletError } from '../errors.ts';
import { contentReferences } from '../home/content/content-reference.ts';
import { copyDisk } from '../fs/disk/disk-copy.ts';
import { diskError, onDisk } from '../fs/disk-error.ts';
import type { Finding, ImagePlace } from './finding.ts';
import { isVerbatimDirectory } from './origin-record.ts';
import { readImageManifest } from './image-manifest.ts';
import { lookAt } from '../fs/probe.ts';
import { leftBecause, type RepairResult, setImageAside } from './repair-finding.ts';
import { quarantine } from '../home/quarantine.ts';
import { exists } from '../fs/stats.ts';
import { whileHeld } from '../home/images/image-lock.ts';
import { removeEntry } from '../fs/remove.ts';
import { Staging } from '../home/staging.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { parseManifest, requireImage } from '../oci/manifest.ts';
import {
  parseTartImage,
  type StackedImage,
  stackedFiles,
  type StoredDiskFile,
  type TartImage,
} from '../oci/tart-image.ts';
import type { ManifestSource } from '../registry/contract.ts';
import { repairContent } from './repair-content.ts';
import { fetchImage } from '../transfer/pull/fetch-image.ts';
import { pullTarget } from '../transfer/pull/pull-target.ts';
import { DEFAULT_CONCURRENCY } from '../session/concurrency.ts';
import type { Session } from '../session/session.ts';

/**
 * Makes a damaged image whole: everything that is still right is kept, everything else fetched again from the registry
 * that the directory's place names, and the fixed image exchanged for the damaged one in one step. A clone has files of
 * its own and notices nothing. When the registry no longer has what is needed, the image goes to quarantine with its
 * tags; when it cannot be asked, everything stays.
 *
 * @param findings all of one image, at least one.
 * @returns the same outcome for each of them. Throws only the reason of the session's signal.
 */
export async function repairImage(
  session: Session,
  place: ImagePlace,
  findings: readonly Finding[],
  options: { readonly insecure: boolean },
): Promise<RepairResult[]> {
  const outcome = (result: RepairResult['result'], text: string): RepairResult[] =>
    findings.map((each) => ({ finding: each, result, text }));
  try {
    const repaired = await whileHeld(
      session.images,
      place.digest,
      { mode: 'exclusive', wait: false },
      async () => exists(place.path),
      async (isThere) =>
        outcome(
          'repaired',
          isThere
            ? await repairHeld(session, place, findings, options.insecure)
            : 'it is gone: it was deleted meanwhile',
        ),
    );
    return repaired === 'busy' ? outcome('left', 'another command is using the image') : repaired;
  } catch (error) {
    session.signal.throwIfAborted();
    const known = diskError(error, 'repair', place.path);
    return findings.map((each) => leftBecause(each, known));
  }
}

async function repairHeld(
  session: Session,
  place: ImagePlace,
  findings: readonly Finding[],
  insecure: boolean,
): Promise<string> {
  const { name } = place;
  const [first] = findings;
  if (name === undefined || first === undefined) throw new TartletError('INTERNAL', `${place.path} has no name`);
  const source = await session.source(name, insecure);
  try {
    const image = await imageOf(session, place, name, source);
    const context = { source, concurrency: DEFAULT_CONCURRENCY };
    let fetched = 0;
    if (image.layout === 'flat') await seedStaging(session, place);
    else {
      const target = pullTarget(name, image, 'lacks-content');
      fetched = await repairContent(session, target, damagedFiles(session, image, findings), context);
    }
    // What lies in its place is damaged, so that it counts as nothing.
    fetched += (await fetchImage(session, pullTarget(name, image, 'absent'), context)).fetchedBytes;
    return `repaired from ${name.registry.toString()}: ${fetched} bytes were fetched, the rest was verified and kept`;
  } catch (error) {
    if (!isTartletError(error, 'NOT_FOUND')) throw error;
    await removeEntry(`${session.home.stagingDirectory}/${place.digest.hex}`);
    const to = await setImageAside(session, first, place);
    for (const each of findings)
      if (each.path.startsWith(session.home.contentDirectory)) await setContentAside(session, each, to);
    return `moved to ${to}: ${name.registry.toString()} no longer has it`;
  } finally {
    await source.close();
  }
}

function damagedFiles(session: Session, image: StackedImage, findings: readonly Finding[]): StoredDiskFile[] {
  const paths = new Set(findings.map((each) => each.path));
  return stackedFiles(image).filter((file) => paths.has(session.contents.pathOf(file.fileDigest)));
}

/**
 * A damaged file of the content store follows its image, unless another image or VM needs it: a VM may still run with
 * it.
 */
async function setContentAside(session: Session, each: Finding, image: string): Promise<void> {
  await session.contents.change(session.signal, async () => {
    const needed = contentReferences(session.home, image);
    if (needed.kind === 'unknown' || needed.digests.has(path.basename(each.path)) || !(await exists(each.path))) return;
    await quarantine(session.home, each, [], session.now());
  });
}

/** By the manifest in the directory when its hash proves it, else by the registry's. */
async function imageOf(
  session: Session,
  place: ImagePlace,
  name: RemoteName,
  client: ManifestSource,
): Promise<TartImage> {
  const verdict = readImageManifest(place, isVerbatimDirectory(place.path));
  if (verdict.kind === 'image' && verdict.isOriginal) return verdict.image;
  const raw = await client.manifest({ digest: place.digest }, { signal: session.signal });
  return parseTartImage(requireImage(parseManifest(raw.bytes, raw.mediaType), name.toString()), name.toString());
}

/**
 * Puts a copy of the damaged disk where a pull builds a new one, as if a program without a journal had begun it: what
 * hashes right is kept, and the rest is fetched. The damaged disk itself is never written to.
 */
async function seedStaging(session: Session, place: ImagePlace): Promise<void> {
  const damaged = `${place.path}/${VmFile.disk}`;
  const look = lookAt(damaged);
  const staging = await Staging.open(session.home, place.digest);
  const copy = staging.pathOf(VmFile.disk);
  // An interrupted pull or repair got further than a copy would.
  if (look.kind !== 'found' || !look.value.isFile() || (await exists(copy))) return;
  try {
    await copyDisk(damaged, copy, session);
  } catch (error) {
    await onDisk('remove', copy, async () => removeEntry(copy));
    throw error;
  }
}
