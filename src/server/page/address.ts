/** Where the page of all repositories is. */
export const HOME = '/';

/** The page of a repository. */
export function repositoryAddress(repository: string): string {
  return `/repository/${encodeURI(repository)}`;
}

/** The page of an image, by the tag that leads to it. */
export function tagAddress(repository: string, tag: string): string {
  return `/image/${encodeURI(repository)}:${tag}`;
}

/** The page of an image by its digest. */
export function digestAddress(repository: string, digest: string): string {
  return `/image/${encodeURI(repository)}@${digest}`;
}
