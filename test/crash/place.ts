import { execFileSync } from 'node:child_process';
import { readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Workplace } from '../support/real-command.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { pushInChunks } from '../support/real-seed.ts';
import { createVm, fillDisk } from '../support/real-vm.ts';
import { type Contents, hashesOf, hashOf } from './oracle.ts';
import type { Invocation } from './strace.ts';

const CHUNK_BYTES = 256 * 1024;
/** A file that is nobody's, in the middle of the cache. */
const FOREIGN_FILE = 'cache/OCIs/notes.txt';

/**
 * A registry and a home that every run starts from anew. In the registry: `team/base` with the tags `old`, `new` and
 * `moving` (which leads to `old` or `new`, see {@link moveTag}), and `team/other:1`. In the home: `other:1` and
 * `moving` as it was, cached; the VM `keep`; and a foreign file. The home always lies at the same path, because
 * symlinks in it are absolute.
 */
export class Place {
  readonly cleanup: Cleanup;
  readonly directory: string;
  readonly registry: RealRegistry;
  readonly user: Workplace;
  /** What images and VMs hold, by the names of their VMs. */
  readonly known: Record<string, Contents> = {};

  private constructor(registry: RealRegistry, cleanup: Cleanup) {
    this.cleanup = cleanup;
    this.registry = registry;
    this.directory = cleanup.directory();
    this.user = new Workplace(cleanup);
  }

  static async make(): Promise<Place> {
    const cleanup = new Cleanup();
    const place = new Place(await startRealRegistry(cleanup, 'embedded'), cleanup);
    await place.#fill();
    return place;
  }

  get home(): string {
    return this.user.home;
  }

  get address(): string {
    return `127.0.0.1:${this.registry.port}`;
  }

  name(rest: string): string {
    return `${this.address}/${rest}`;
  }

  /** A repository's directory below the home. */
  repositoryPath(repository: string): string {
    return `cache/OCIs/${this.address.replace(':', '%3A')}/${repository}`;
  }

  /** Files of nobody, and their digests. */
  get foreign(): Readonly<Record<string, string>> {
    return { [FOREIGN_FILE]: hashOf(`${this.#template}/${FOREIGN_FILE}`) ?? '' };
  }

  async #fill(): Promise<void> {
    const publisher = new Workplace(this.cleanup);
    for (const [index, vm] of ['old', 'new', 'other'].entries()) {
      await createVm(publisher, vm);
      fillDisk(publisher, vm, 1, index + 1);
      this.known[vm] = hashesOf(publisher.vmDirectory(vm));
      const repository = vm === 'other' ? 'team/other:1' : `team/base:${vm}`;
      await pushInChunks(publisher, vm, this.name(repository), CHUNK_BYTES);
    }
    await this.moveTag('old');
    await this.user.run('create', '--linux', '--disk-size', '1', 'keep');
    fillDisk(this.user, 'keep', 1, 9);
    this.known['keep'] = hashesOf(this.user.vmDirectory('keep'));
    for (const name of ['team/other:1', 'team/base:moving']) await this.user.run('pull', this.name(name));
    writeFileSync(path.join(this.home, FOREIGN_FILE), 'do not touch\n');
    execFileSync('cp', ['-a', this.home, this.#template]);
  }

  get #template(): string {
    return `${this.directory}/template`;
  }

  /** Points `team/base:moving` of the registry at what `old` or `new` leads to. */
  async moveTag(to: 'old' | 'new'): Promise<void> {
    const base = `http://127.0.0.1:${this.registry.port}/v2/team/base/manifests`;
    const manifest = await fetch(`${base}/${to}`);
    const answer = await fetch(`${base}/moving`, {
      method: 'PUT',
      body: await manifest.arrayBuffer(),
      headers: { 'content-type': manifest.headers.get('content-type') ?? '' },
    });
    if (answer.status !== 201) throw new Error(`the tag did not move: ${answer.status}`);
  }

  /** Puts the home back to what it was. */
  reset(): void {
    rmSync(this.home, { recursive: true, force: true });
    execFileSync('cp', ['-a', this.#template, this.home]);
    this.registry.requests.length = 0;
  }

  /**
   * Makes the cache one that a Tart before 2.11.0 wrote: a raw colon in the host's directory and in the symlinks
   * (tart-formats §2.3).
   */
  makeOld(): void {
    const images = path.join(this.home, 'cache/OCIs');
    const [now, then] = [this.address.replace(':', '%3A'), this.address];
    renameSync(path.join(images, now), path.join(images, then));
    for (const tag of ['team/base/moving', 'team/other/1']) {
      const link = path.join(images, then, tag);
      const text = readlinkSync(link).replace(now, then);
      rmSync(link);
      symlinkSync(text, link);
    }
  }

  /** The real command, as its users run it. */
  command(...args: readonly string[]): Invocation {
    return { argv: [process.execPath, COMMAND, ...args], environment: this.user.environment };
  }

  /** A path for the log of a traced run. */
  log(): string {
    return path.join(this.directory, 'strace.log');
  }
}
