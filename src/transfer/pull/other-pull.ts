import { exists } from '../../fs/stats.ts';
import { Staging } from '../../home/staging.ts';
import { type TartImage, stackedFiles } from '../../oci/tart-image.ts';
import type { Session } from '../../session/session.ts';

/** How far a pull is, in bytes of the decoded disk. */
export interface OtherProgress {
  readonly diskBytes: number;
  readonly ofDiskBytes: number;
}

/**
 * How far another command is with an image that we wait for: what its journal lists as verified, or for a stacked image
 * the files that are in the content store. Only for people to watch.
 *
 * @returns undefined when no process is pulling it.
 */
export async function progressOfOther(session: Session, image: TartImage): Promise<OtherProgress | undefined> {
  const staging = Staging.at(session.home, image.manifest.digest);
  if (!(await exists(staging.directory))) return undefined;
  if (image.layout === 'stacked') {
    const files = stackedFiles(image);
    const missing = new Set(await session.contents.missing(files));
    return { diskBytes: sumOf(files.filter((file) => !missing.has(file))), ofDiskBytes: sumOf(files) };
  }
  const verified = (await staging.journal.verified()) ?? new Set();
  return {
    diskBytes: sumOf(image.base.chunks.filter((chunk) => verified.has(chunk.index))),
    ofDiskBytes: image.base.size,
  };
}

function sumOf(parts: readonly { readonly size: number }[]): number {
  return parts.reduce((sum, { size }) => sum + size, 0);
}
