import path from 'node:path';
import { IMAGES_INFIX } from '../home/home-entry.ts';

/** What the text of a symlink names, part by part, whether or not anything is there. */
export interface LinkTarget {
  /** The directory directly below `cache/OCIs`, as spelled. */
  readonly host: string;
  readonly repository: string;
  /** A digest, or the tag that a digest's symlink leads to (tart-formats §2.4). */
  readonly leaf: string;
}

/**
 * Reads the text of a symlink without following it: the text is the witness, wherever the home lay when it was written
 * (tart-formats §2.7).
 *
 * @param symlink path of the symlink below `imagesDirectory`, for texts that are relative to it.
 * @returns undefined when it names nothing that lies where images do.
 */
export function readLinkText(text: string, link: string, imagesDirectory: string): LinkTarget | undefined {
  const below = text.startsWith('/')
    ? belowImages(text, imagesDirectory)
    : path.posix.join(path.posix.dirname(link), text);
  if (below === undefined) return undefined;
  const [host, ...rest] = path.posix.normalize(below).replace(/^\/+/, '').split('/');
  const leaf = rest.pop();
  if (host === undefined || host === '..' || host === '.' || leaf === undefined || rest.length === 0) return undefined;
  return { host, repository: rest.join('/'), leaf };
}

/** This home first: a repository may itself be called `cache/OCIs/x`. */
function belowImages(text: string, imagesDirectory: string): string | undefined {
  if (text.startsWith(`${imagesDirectory}/`)) return text.slice(imagesDirectory.length + 1);
  const at = text.lastIndexOf(IMAGES_INFIX);
  return at < 0 ? undefined : text.slice(at + IMAGES_INFIX.length);
}
