import path from 'node:path';
import { IMAGES_INFIX } from '../home/home-entry.ts';

/** What the text of a link names, part by part, whether or not anything is there. */
export interface LinkTarget {
  /** The folder directly below `cache/OCIs`, as spelled. */
  readonly host: string;
  readonly repository: string;
  /** A digest, or the tag that a digest's link leads to (tart-formats §2.4). */
  readonly leaf: string;
}

/**
 * Reads the text of a link without following it: the text is the witness, wherever the home lay when it was written (tart-formats §2.7).
 *
 * @param link path of the link below `imagesFolder`, for texts that are relative to it.
 * @returns undefined when it names nothing that lies where images do.
 */
export function readLinkText(text: string, link: string, imagesFolder: string): LinkTarget | undefined {
  const below = text.startsWith('/')
    ? belowImages(text, imagesFolder)
    : path.posix.join(path.posix.dirname(link), text);
  if (below === undefined) return undefined;
  const [host, ...rest] = path.posix.normalize(below).replace(/^\/+/, '').split('/');
  const leaf = rest.pop();
  if (host === undefined || host === '..' || host === '.' || leaf === undefined || rest.length === 0) return undefined;
  return { host, repository: rest.join('/'), leaf };
}

/** This home first: a repository may itself be called `cache/OCIs/x`. */
function belowImages(text: string, imagesFolder: string): string | undefined {
  if (text.startsWith(`${imagesFolder}/`)) return text.slice(imagesFolder.length + 1);
  const at = text.lastIndexOf(IMAGES_INFIX);
  return at < 0 ? undefined : text.slice(at + IMAGES_INFIX.length);
}
