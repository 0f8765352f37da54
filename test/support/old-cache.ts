import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { configJson } from './home.ts';
import { sha256, tinyImage } from './tart-image.ts';

/*
 * Caches as older Tarts wrote them, and as users left them afterwards (tart-formats §2.3–2.8). Nothing here comes from
 * `src`: paths and symlink texts are put together as the versions of Tart did.
 */

/** How a version of Tart spelled the directory of `host:port`. */
export type Generation =
  /** 0.19.0 – 2.10: `host:port`. */
  | 'raw'
  /** Since 2.11.0: `host%3Aport`. */
  | 'encoded'
  /** No Tart, but tools that encode by the other custom: `host%3aport`. */
  | 'lower-escape';

/** What was pulled: the address as typed, so that case and zeros survive. */
export interface Pulled {
  readonly registry: string;
  readonly repository: string;
  /** Without one it was pulled by digest, and is marked so. */
  readonly tag?: string;
  /** Two pulls of one content are one digest. */
  readonly content: string;
  readonly generation: Generation;
  /** Tarts before 2.14 kept none. Default: true. */
  readonly manifest?: boolean;
}

export function hostDirectory(registry: string, generation: Generation): string {
  switch (generation) {
    case 'raw':
      return registry;
    case 'encoded':
      return registry.replaceAll(':', '%3A');
    case 'lower-escape':
      return registry.replaceAll(':', '%3a');
  }
}

/** The digest of an image by its content. */
export function digestOfContent(content: string): string {
  return imageOf(content).digest;
}

/** A home of an older Tart. Every method is something that a Tart or a user did to it. */
export class OldCache {
  root: string;

  constructor(root: string) {
    this.root = root;
    mkdirSync(this.images, { recursive: true });
  }

  get images(): string {
    return `${this.root}/cache/OCIs`;
  }

  /** Pulls: a digest directory, and a tag as an absolute symlink to it, or a mark. @returns the directory. */
  pull(pulled: Pulled): string {
    const repository = `${this.images}/${hostDirectory(pulled.registry, pulled.generation)}/${pulled.repository}`;
    const directory = `${repository}/${digestOfContent(pulled.content)}`;
    plant(directory, pulled);
    if (pulled.tag === undefined) writeFileSync(`${directory}/.explicitly-pulled`, '');
    else link(`${repository}/${pulled.tag}`, directory);
    return directory;
  }

  /**
   * `push --populate-cache` of 0.19 – 1.8.1: the image without the port, its tag with it, when there is a directory for
   * it (tart-formats §2.4).
   */
  populate(pulled: Omit<Pulled, 'generation'> & { readonly tag: string }): string {
    const repository = `${this.images}/${pulled.registry}/${pulled.repository}`;
    const directory = `${this.images}/${pulled.registry.replace(/:\d+$/, '')}/${pulled.repository}/${digestOfContent(pulled.content)}`;
    plant(directory, pulled);
    if (existsSync(repository)) link(`${repository}/${pulled.tag}`, directory);
    return directory;
  }

  /** Renames or merges a host directory, symlinks as they are: "last one wins" (tart-formats §2.5, §2.8). */
  rename(from: string, to: string): void {
    merge(`${this.images}/${from}`, `${this.images}/${to}`);
  }

  /** Moves the whole home. Texts of symlinks still name the old place. */
  moveTo(root: string): void {
    mkdirSync(path.dirname(root), { recursive: true });
    renameSync(this.root, root);
    this.root = root;
  }

  /** Repairs a tag by hand, by the way that its image has now. @param at below `cache/OCIs`. */
  repair(at: string, spelling: 'absolute' | 'relative'): void {
    const tag = `${this.images}/${at}`;
    const digest = path.basename(readlinkSync(tag));
    link(tag, spelling === 'relative' ? digest : `${path.dirname(tag)}/${digest}`);
  }

  /** Makes a symlink at the top: another name for a registry's directory. */
  alias(name: string, target: string): void {
    symlinkSync(target, `${this.images}/${name}`);
  }

  remove(at: string): void {
    rmSync(`${this.images}/${at}`, { recursive: true });
  }

  /**
   * Everything below `cache/OCIs`, with the texts of symlinks: `h/a/v1 -> …/sha256:…`. Files in images are left out.
   */
  tree(): string[] {
    return treeOf(this.images, '');
  }
}

function imageOf(content: string): ReturnType<typeof tinyImage> {
  return tinyImage({
    config: Buffer.from(configJson()),
    chunks: [Buffer.from(content.padEnd(4096, '.'))],
    manifest: { annotations: {} },
  });
}

function plant(directory: string, { content, manifest = true }: Pick<Pulled, 'content' | 'manifest'>): void {
  const image = imageOf(content);
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/config.json`, image.config);
  writeFileSync(`${directory}/nvram.bin`, image.nvram);
  writeFileSync(`${directory}/disk.img`, image.disk);
  if (manifest) writeFileSync(`${directory}/manifest.json`, image.manifest);
}

function link(at: string, text: string): void {
  rmSync(at, { force: true });
  symlinkSync(text, at);
}

function merge(from: string, to: string): void {
  if (!existsSync(to)) {
    mkdirSync(path.dirname(to), { recursive: true });
    renameSync(from, to);
    return;
  }
  for (const name of readdirSync(from)) {
    const isDirectory = lstatSync(`${from}/${name}`).isDirectory();
    if (isDirectory) merge(`${from}/${name}`, `${to}/${name}`);
    else renameSync(`${from}/${name}`, `${to}/${name}`);
  }
  rmSync(from, { recursive: true });
}

function treeOf(root: string, below: string): string[] {
  return readdirSync(`${root}/${below}`)
    .sort()
    .flatMap((name) => {
      const at = below === '' ? name : `${below}/${name}`;
      const stats = lstatSync(`${root}/${at}`);
      if (stats.isSymbolicLink()) return [`${at} -> ${readlinkSync(`${root}/${at}`)}`];
      if (!stats.isDirectory()) return [at];
      const inside = name.startsWith('sha256:') ? [] : treeOf(root, at);
      return inside.length === 0 ? [`${at}/`] : inside;
    });
}

/** Every whole image below a directory, wherever it lies: its path, and one digest over its four files. */
export function wholeImages(directory: string): { path: string; digest: string; content: string }[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const at = `${directory}/${entry.name}`;
    if (!entry.isDirectory()) return [];
    const files = ['config.json', 'nvram.bin', 'disk.img'];
    if (!files.every((file) => existsSync(`${at}/${file}`))) return wholeImages(at);
    const manifest = existsSync(`${at}/manifest.json`) ? readFileSync(`${at}/manifest.json`) : Buffer.alloc(0);
    const bytes = Buffer.concat([...files.map((file) => readFileSync(`${at}/${file}`)), manifest]);
    return [{ path: at, digest: entry.name.split('.')[0] ?? '', content: sha256(bytes) }];
  });
}
