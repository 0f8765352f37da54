import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, watch } from 'node:fs';
import { createCipheriv } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Cleanup } from '../real-cleanup.ts';
import { type Ran, type Running, Workplace } from '../real-command.ts';
import { sha256, tinyImage } from '../tart-image.ts';
import { partPath } from '../real-parts.ts';
import { Monitor, type Told } from './monitor.ts';
import { PacedRegistry } from './paced-registry.ts';
import {
  noiseBytes,
  type Places,
  planGuest,
  plantWritingGuest,
  readConsole,
  type Said,
  SECTOR,
  WATCH_SOCKET,
  writeRecord,
} from './writing-guest.ts';

const MIB = 1024 * 1024;
const LOOK_EVERY_MS = 10;
/** Emulated, and on a busy machine, in milliseconds. */
const LONG_MS = 60_000;

const PLACES: Places = { records: 0, noise: { at: 4, size: 8 } };

/** As small as what is lost by a kill has to be to not count: of a real image a part is a smaller share. */
const CHUNK_BYTES = 32 * 1024;

const CONFIG = {
  version: 1,
  os: 'linux',
  arch: 'amd64',
  cpuCountMin: 1,
  cpuCount: 1,
  memorySizeMin: 256 * MIB,
  memorySize: 256 * MIB,
  macAddress: '52:55:0a:00:02:01',
  diskFormat: 'raw',
  display: { width: 800, height: 600 },
};

/** An image for the writing guest. @param mib of its disk, 16 or more. @param noise what is where it writes most. */
export function imageOf(mib: number, noise: 'data' | 'hole' = 'data'): ReturnType<typeof tinyImage> {
  const { at: from, size } = PLACES.noise;
  const isHole = (at: number): boolean => noise === 'hole' && at >= from * MIB && at < (from + size) * MIB;
  return tinyImage({
    chunks: Array.from({ length: (mib * MIB) / CHUNK_BYTES }, (_, at) =>
      isHole(at * CHUNK_BYTES) ? Buffer.alloc(CHUNK_BYTES) : chunkBytes(at),
    ),
    config: Buffer.from(JSON.stringify(CONFIG)),
    nvram: readFileSync(partPath('ovmf')),
  });
}

/** Bytes that differ everywhere. */
function chunkBytes(number: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(number);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(CHUNK_BYTES));
}

/** The life of one lazy VM, through as many runs as it takes until its disk is whole. */
export class LazyLife {
  readonly user: Workplace;
  readonly registry: PacedRegistry;
  readonly image: ReturnType<typeof tinyImage>;
  /** One more than the last record that was flushed. */
  told = 0;
  /** The noise was flushed as a whole at least once. */
  hasNoise = false;
  run: Running | undefined;
  readonly #cleanup: Cleanup;
  readonly #programs: string;
  readonly #vm: string;
  #watching: Monitor | undefined;

  private constructor(parts: {
    readonly cleanup: Cleanup;
    readonly user: Workplace;
    readonly registry: PacedRegistry;
    readonly image: ReturnType<typeof tinyImage>;
    readonly programs: string;
    readonly vm: string;
  }) {
    this.#vm = parts.vm;
    this.#cleanup = parts.cleanup;
    this.user = parts.user;
    this.registry = parts.registry;
    this.image = parts.image;
    this.#programs = parts.programs;
  }

  static async begin(
    cleanup: Cleanup,
    image: ReturnType<typeof tinyImage>,
    options: { readonly home?: string } = {},
  ): Promise<LazyLife> {
    const registry = await PacedRegistry.start(image);
    const bare = new Workplace(cleanup, options);
    const programs = `${bare.directory}/programs`;
    mkdirSync(programs);
    plantWritingGuest(programs);
    const environment = { ...bare.environment, PATH: `${programs}:${bare.environment['PATH']}` };
    const user = Object.assign(Object.create(bare) as Workplace, { environment });
    return new LazyLife({ cleanup, user, registry, image, programs, vm: 'ci' });
  }

  /** Another VM of the same user and image. */
  beside(vm: string): LazyLife {
    return new LazyLife({
      cleanup: this.#cleanup,
      user: this.user,
      registry: this.registry,
      image: this.image,
      programs: this.#programs,
      vm,
    });
  }

  /** Of the image. */
  get name(): string {
    return `${this.registry.address}/team/guest:latest`;
  }

  get directory(): string {
    return this.user.vmDirectory(this.#vm);
  }

  at(file: string): string {
    return `${this.directory}/${file}`;
  }

  get isWhole(): boolean {
    return existsSync(this.at('disk.img'));
  }

  async clone(): Promise<Ran> {
    return this.user.run('clone', '--lazy=always', this.name, this.#vm);
  }

  /** Starts the VM. */
  begin(options: { readonly noisy?: boolean; readonly reads?: readonly number[] } = {}): Running {
    // Of a QEMU that was killed.
    rmSync(this.at(WATCH_SOCKET), { force: true });
    planGuest(this.#programs, PLACES, { from: this.told, noisy: false, reads: [], ...options });
    this.#watching?.close();
    this.#watching = undefined;
    const run = this.user.start('run', this.#vm, '--no-graphics');
    this.run = run;
    this.#cleanup.add(async () => {
      run.kill('SIGKILL');
      await run.ended.catch(() => undefined);
    });
    return run;
  }

  /** What the guest of this run said until now. */
  get said(): Said {
    return readConsole(existsSync(this.at('serial.log')) ? readFileSync(this.at('serial.log'), 'latin1') : '');
  }

  /** Waits until something is so, as long as the run goes on. @returns whether it is. */
  async until(isSo: () => boolean): Promise<boolean> {
    let hasEnded = false;
    void this.run?.ended.then(
      () => (hasEnded = true),
      () => (hasEnded = true),
    );
    for (let waited = 0; waited < LONG_MS; waited += LOOK_EVERY_MS) {
      if (isSo()) return true;
      if (hasEnded) return false;
      await delay(LOOK_EVERY_MS);
    }
    throw new Error(`it took too long; run said: ${this.run?.stderr}`);
  }

  async untilWritten(more: number): Promise<boolean> {
    const before = this.told;
    return this.until(() => this.said.told >= before + more);
  }

  get qemu(): number | undefined {
    return qemusIn(this.directory)[0];
  }

  /** Listens to QEMU as soon as it is there. @returns whether it came to that. */
  async listen(onTold: (told: Told) => void): Promise<boolean> {
    for (;;) {
      if (!(await this.until(() => existsSync(this.at(WATCH_SOCKET))))) return false;
      // Short, whatever the length of the directory's path.
      this.#watching = await Monitor.connect(`/proc/${this.qemu}/cwd/${WATCH_SOCKET}`, onTold);
      if (this.#watching !== undefined) return true;
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Asks the QEMU that is listened to. */
  async ask(command: string, parameters?: object): Promise<unknown> {
    return this.#watching?.ask(command, parameters);
  }

  /** Resolves when an entry of the VM's directory comes, changes or goes. */
  async untilEntry(pattern: RegExp): Promise<void> {
    const watcher = watch(this.directory);
    try {
      await new Promise<void>((resolve) => {
        watcher.on('change', (_, name) => {
          if (pattern.test(String(name))) resolve();
        });
        void this.run?.ended.finally(resolve);
      });
    } finally {
      watcher.close();
    }
  }

  /** Ends the run as a user does. */
  async stop(): Promise<Ran | undefined> {
    await this.user.run('stop', this.#vm, '--timeout', '1');
    return this.#over();
  }

  /** Kills what is asked for; the run ends by that. */
  async kill(victim: 'run' | 'qemu'): Promise<Ran | undefined> {
    const { qemu } = this;
    if (victim === 'run') this.run?.kill('SIGKILL');
    else if (qemu !== undefined) tryKill(qemu, 'SIGKILL');
    return this.#over();
  }

  /** Takes down what the guest acknowledged, and waits until no QEMU is left. */
  async #over(): Promise<Ran | undefined> {
    const ended = await this.run?.ended;
    this.#watching?.close();
    await expect.poll(() => qemusIn(this.directory), { timeout: 10_000 }).toStrictEqual([]);
    this.remember();
    return ended;
  }

  remember(): void {
    const { told, noises } = this.said;
    this.told = Math.max(this.told, told);
    this.hasNoise ||= noises > 0;
  }

  /** What was wrong in what the guest of this run saw of the disk. */
  misread(): string[] {
    const { reads, seen } = this.said;
    const disk = this.image.disk;
    const wrong = [...reads].filter(
      ([at, digest]) => digest !== sha256(disk.subarray(at * MIB, (at + 1) * MIB)).slice(7),
    );
    const expected = Buffer.from(disk.subarray(0, PLACES.noise.at * MIB));
    for (let number = 0; number < (seen?.count ?? 0); number += 1) writeRecord(expected, PLACES, number);
    const isSeen = seen === undefined || sha256(expected.subarray(0, seen.count * SECTOR)).slice(7) === seen.digest;
    return [
      ...wrong.map(([at]) => `the guest read other bytes at ${at} MiB`),
      ...(isSeen ? [] : [`the guest does not see all of ${seen?.count} records`]),
    ];
  }

  /** What is missing or wrong on the whole disk: records that were told, and everything that nobody wrote to. */
  wrongOnDisk(): string[] {
    const disk = readFileSync(this.at('disk.img'));
    const expected = Buffer.from(this.image.disk);
    if (disk.length !== expected.length) return [`the disk has ${disk.length} bytes`];
    const wrong: string[] = [];
    for (let number = 0; number < this.told; number += 1) writeRecord(expected, PLACES, number);
    // One more may have been written, and not told.
    const lost = sectorsThatDiffer(disk, expected, 0, this.told);
    wrong.push(...lost.map((number) => `record ${number} is lost`));
    const noise = noiseBytes(PLACES);
    const [from, to] = [(PLACES.noise.at * MIB) / SECTOR, ((PLACES.noise.at + PLACES.noise.size) * MIB) / SECTOR];
    for (const sector of sectorsThatDiffer(disk, expected, from, to)) {
      const at = sector * SECTOR;
      const there = disk.subarray(at, at + SECTOR);
      if (!there.equals(noise.subarray(at - from * SECTOR, at - from * SECTOR + SECTOR)))
        wrong.push(`sector ${sector} is neither what it was nor what was written`);
    }
    if (this.hasNoise && !disk.subarray(from * SECTOR, to * SECTOR).equals(noise)) wrong.push('the noise is lost');
    const written = this.told + 1;
    for (const sector of [
      ...sectorsThatDiffer(disk, expected, written, from),
      ...sectorsThatDiffer(disk, expected, to, disk.length / SECTOR),
    ])
      wrong.push(`sector ${sector} differs from the image, and nothing was written there`);
    return wrong.slice(0, 10);
  }

  /** What is left of the way there. */
  get leftovers(): string[] {
    return readdirSync(this.directory).filter((name) => name.includes('lazy'));
  }
}

function sectorsThatDiffer(one: Buffer, other: Buffer, from: number, to: number): number[] {
  const found: number[] = [];
  for (let sector = from; sector < to; sector += 1) {
    const at = sector * SECTOR;
    if (one.compare(other, at, at + SECTOR, at, at + SECTOR) !== 0) found.push(sector);
  }
  return found;
}

export function tryKill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

/** Processes of QEMU that work in a directory. */
function qemusIn(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return (
          readlinkSync(`/proc/${pid}/cwd`) === directory && readlinkSync(`/proc/${pid}/exe`).includes('qemu-system')
        );
      } catch {
        return false;
      }
    })
    .map(Number);
}
