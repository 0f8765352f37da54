import { isTartletError } from '../../errors.ts';
import { TO_READ, whileHeld } from '../../home/images/image-lock.ts';
import { noteLostTag } from '../../home/prune/collect.ts';
import { RemoteName } from '../../names/remote-name.ts';
import type { RawManifest } from '../../registry/client.ts';
import type { Session } from '../../session/session.ts';
import { type PatientPull, type PullOptions, pullPatiently, pullUnnamed } from '../../transfer/pull/pull.ts';

/** What a lazy VM says of its image. */
export interface WantedImage {
  /** With the digest of the image. */
  readonly imageName: RemoteName;
  /** Speak plain HTTP to the registry. */
  readonly insecure: boolean;
  /** Of the image: the registry need not have it any more. Default: the registry is asked for it. */
  readonly manifest: RawManifest | undefined;
  /** The name that was asked for, if that is known. */
  readonly asked: string | undefined;
}

export interface BringOptions extends Pick<PullOptions, 'concurrency' | 'order'> {
  /** Default: the first part that fails ends the pull. */
  readonly patience?: PatientPull['patience'];
  /** Default: it is not known that a guest waits. */
  readonly guest?: PatientPull['guest'];
}

/**
 * Brings the image of a VM into the cache, as the clone would have done that the VM was made by: under the tag that was
 * asked for, and for a digest with the mark of an explicit pull.
 *
 * @throws TartletError those of `pull`.
 */
export async function bringImage(
  session: Session,
  wanted: WantedImage,
  { patience, guest, ...options }: BringOptions = {},
): Promise<void> {
  const { imageName, insecure, manifest } = wanted;
  const how = { ...options, insecure, accept: 'flat' } as const;
  const waited = { manifest, guest, ...(patience === undefined ? {} : { patience }) };
  const tagged = taggedName(wanted);
  if (tagged === undefined) {
    await pullPatiently(session, imageName, how, waited);
    return;
  }
  await pullUnnamed(session, imageName, how, async () => undefined, waited);
  await nameByTag(session, imageName, tagged);
}

/** The name with its tag, where that is what was asked for. */
function taggedName({ asked, imageName }: WantedImage): RemoteName | undefined {
  const name = asked === undefined ? undefined : RemoteName.tryParse(asked);
  if (name?.tag === undefined || name.repositoryName !== imageName.repositoryName) return undefined;
  return imageName.withTag(name.tag);
}

/**
 * The tag led to this image when the VM was made, and would have its symlink since then if the image had come at once.
 * Where it has led to another image since, in this cache, that is the later one, and stays.
 */
async function nameByTag(session: Session, imageName: RemoteName, tagged: RemoteName): Promise<void> {
  const { images, signal } = session;
  const { digest } = imageName;
  if (digest === undefined) return;
  await whileHeld(
    images,
    digest,
    { ...TO_READ, signal },
    async () => images.find(imageName),
    async (image) => {
      if (image === undefined) return;
      if ((await images.find(tagged)) === undefined && (await canHaveItsPlace(session, tagged)))
        await images.nameImage(tagged, digest, session.now());
      else if (!(await images.isLinked(tagged, digest))) await noteLostTag(session, tagged, digest);
    },
  );
}

/** An image of a name that excludes this one may have come since the VM was made. */
async function canHaveItsPlace({ images }: Session, tagged: RemoteName): Promise<boolean> {
  try {
    await images.refuseCollision(tagged);
    return true;
  } catch (error) {
    if (isTartletError(error, 'NAME_COLLISION')) return false;
    throw error;
  }
}
