import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Home } from '../../src/home/home.ts';
import { referencePath } from '../../src/home/layout.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { Session, type SessionOptions } from '../../src/session/session.ts';
import { temporaryDirectory } from './directory.ts';

/** A session in an empty home of its own. */
export function freshSession(options: Partial<SessionOptions> = {}): Session {
  return new Session({ home: new Home(`${temporaryDirectory()}/home`), platform: process.platform, ...options });
}

/** A tiny Linux VM configuration, as Tart writes it. */
export function configJson(mac = '7e:12:34:56:78:9a'): string {
  return JSON.stringify({
    version: 1,
    os: 'linux',
    arch: 'arm64',
    cpuCountMin: 4,
    cpuCount: 4,
    memorySizeMin: 4_294_967_296,
    memorySize: 4_294_967_296,
    macAddress: mac,
    display: { width: 1024, height: 768 },
    diskFormat: 'raw',
  });
}

/** Puts the files of a standalone VM into a directory. */
export function plantVm(directory: string, disk: Uint8Array | string = 'disk', mac?: string): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/config.json`, configJson(mac));
  writeFileSync(`${directory}/nvram.bin`, 'nvram');
  writeFileSync(`${directory}/disk.img`, disk);
}

/** Puts an image into the cache as Tart does: a digest directory, and tags as absolute symlinks to it. */
export function plantImage(session: Session, repository: string, digest: string, ...tags: string[]): string {
  const directory = `${session.home.imagesDirectory}/${referencePath(RemoteName.parse(`${repository}@${digest}`))}`;
  plantVm(directory);
  for (const tag of tags) symlinkSync(directory, `${path.dirname(directory)}/${tag}`);
  return directory;
}

export function digestOf(digit: string): string {
  return `sha256:${digit.repeat(64)}`;
}
