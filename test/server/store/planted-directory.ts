import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { imageManifest, OCI_MANIFEST, sha256 } from '../running-registry.ts';

/** A manifest that stands in a data directory. */
export interface PlantedManifest {
  readonly digest: string;
  readonly bytes: string;
}

function write(file: string, content: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
}

function blobFile(directory: string, digest: string): string {
  const hex = digest.slice('sha256:'.length);
  return path.join(directory, 'blobs/sha256', hex.slice(0, 2), hex);
}

/** Writes a manifest into a data directory as a registry leaves it: without asking one, which would take minutes. */
export function plantManifest(directory: string, repository: string, bytes: string, mediaType: string): string {
  const digest = sha256(bytes);
  write(blobFile(directory, digest), bytes);
  const link = path.join(directory, 'repositories', repository, '_manifests/sha256', digest.slice('sha256:'.length));
  write(link, JSON.stringify({ mediaType }));
  return digest;
}

/** Writes a tag into a data directory. */
export function plantTag(directory: string, repository: string, tag: string, digest: string): void {
  write(path.join(directory, 'repositories', repository, '_tags', tag), digest);
}

/** Writes a blob of a repository into a data directory. */
export function plantBlob(directory: string, repository: string, content: string): string {
  const digest = sha256(content);
  write(blobFile(directory, digest), content);
  write(path.join(directory, 'repositories', repository, '_blobs/sha256', digest.slice('sha256:'.length)), '');
  return digest;
}

/** A repository with images `t00000` and so on, each of its own layer and one that all share. */
export function plantImages(directory: string, repository: string, count: number): readonly PlantedManifest[] {
  plantBlob(directory, repository, '{}');
  plantBlob(directory, repository, 'shared');
  return Array.from({ length: count }, (_, each) => {
    const tag = `t${String(each).padStart(5, '0')}`;
    const bytes = imageManifest('{}', ['shared', `layer of ${repository} ${tag}`]);
    plantBlob(directory, repository, `layer of ${repository} ${tag}`);
    const digest = plantManifest(directory, repository, bytes, OCI_MANIFEST);
    plantTag(directory, repository, tag, digest);
    return { digest, bytes };
  });
}
