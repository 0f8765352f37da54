import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'vitest';
import { runHere } from './here.ts';
import { configJson } from './home.ts';
import { patternBytes } from './memory-device.ts';
import type { Cleanup } from './real-cleanup.ts';
import { type Ran, Workplace } from './real-command.ts';
import { type StaticRegistry, startStaticRegistry } from './static-registry.ts';
import { sha256, tinyImage } from './tart-image.ts';

const CHUNK_BYTES = 256 * 1024;

/** A disk of 1 MiB in four chunks. */
export const LAZY_IMAGE = tinyImage({
  chunks: Array.from({ length: 4 }, (_, at) => patternBytes(CHUNK_BYTES, `part ${at}`)),
  config: Buffer.from(configJson()),
});

/** The VM `ci`, made of {@link LAZY_IMAGE} and not run yet, and the registry of that. */
export class LazyVm {
  readonly workplace: Workplace;
  readonly registry: StaticRegistry;
  readonly image: string;

  private constructor(workplace: Workplace, registry: StaticRegistry, reference: string) {
    this.workplace = workplace;
    this.registry = registry;
    this.image = `${registry.address}/org/vm${reference}`;
  }

  /** @param reference by which its image is asked for. */
  static async make(cleanup: Cleanup, reference = ':latest'): Promise<LazyVm> {
    const registry = await startStaticRegistry({ latest: LAZY_IMAGE });
    const vm = new LazyVm(new Workplace(cleanup, { isFresh: true }), registry, reference);
    expect(await vm.run('clone', '--lazy=always', vm.image, 'ci')).toMatchObject({ exitCode: 0 });
    return vm;
  }

  /** Runs a command line in this process. */
  async run(...words: readonly string[]): Promise<Ran> {
    return runHere(this.workplace, words);
  }

  /** {@link run} with other variables in the environment. */
  async runWith(environment: Readonly<Record<string, string>>, ...words: readonly string[]): Promise<Ran> {
    const changed = { environment: { ...this.workplace.environment, ...environment } };
    return runHere(Object.assign(Object.create(this.workplace) as Workplace, changed), words);
  }

  get directory(): string {
    return this.workplace.vmDirectory('ci');
  }

  /**
   * Does to the disk what a guest of QEMU would.
   * @param commands of `qemu-io`. @param bytes of the disk. Default: as the image has it.
   */
  write(commands: readonly string[], bytes = LAZY_IMAGE.disk.length): void {
    const overlay = `${this.directory}/lazy.qcow2`;
    const base = `${this.workplace.directory}/base.raw`;
    writeFileSync(base, LAZY_IMAGE.disk);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', overlay, String(bytes)]);
    const below = { driver: 'raw', 'read-only': true, file: { driver: 'file', filename: base } };
    const file = { driver: 'file', filename: overlay };
    const chain = JSON.stringify({ driver: 'qcow2', discard: 'unmap', file, backing: below });
    execFileSync('qemu-io', [...commands.flatMap((command) => ['-c', command]), `json:${chain}`]);
  }

  /** The digest of each file in its directory, by name; the date of its last use is none of them. */
  files(): Readonly<Record<string, string>> {
    const names = readdirSync(this.directory).filter((name) => name !== '.last-used');
    return Object.fromEntries(names.sort().map((name) => [name, sha256(readFileSync(`${this.directory}/${name}`))]));
  }
}
