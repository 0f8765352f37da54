import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { LAZY_IMAGE, LazyVm } from '../support/lazy-vm.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { countCalls, type Fault, type Invocation, runPlainly, runWithFault } from './strace.ts';
import { describeFault, isFull, report, spread } from './sweep.ts';

/** Points in a quick run; `npm run sweep` takes them all. */
const QUICK = 10;
const LEAST_POINTS = 25;
const KIB = 1024;

/** The disk with what the guest wrote. */
function wholeDisk(): Buffer {
  const disk = Buffer.from(LAZY_IMAGE.disk);
  disk.fill(0xab, 0, 64 * KIB);
  disk.fill(0, 128 * KIB, 192 * KIB);
  disk.fill(0xcd, 700 * KIB, 704 * KIB);
  return disk;
}

/** A stopped VM whose image is here, and whose disk is not; the same each time. */
class LazyPlace {
  readonly #vm: LazyVm;
  readonly #template: string;
  readonly log: string;
  /** Of the overlay. */
  readonly written: Buffer;

  private constructor(vm: LazyVm) {
    this.#vm = vm;
    this.#template = path.join(vm.workplace.directory, 'template');
    this.log = path.join(vm.workplace.directory, 'strace.log');
    this.written = readFileSync(`${vm.directory}/lazy.qcow2`);
    execFileSync('cp', ['-a', vm.workplace.home, this.#template]);
  }

  static async make(cleanup: Cleanup): Promise<LazyPlace> {
    const vm = await LazyVm.make(cleanup);
    vm.write(['write -P 0xab 0 64k', 'discard 128k 64k', 'write -P 0xcd 700k 4k']);
    expect(await vm.run('pull', vm.image)).toMatchObject({ exitCode: 0 });
    return new LazyPlace(vm);
  }

  prepare(): Invocation {
    rmSync(this.#vm.workplace.home, { recursive: true });
    execFileSync('cp', ['-a', this.#template, this.#vm.workplace.home]);
    return this.again();
  }

  again(): Invocation {
    return { argv: [process.execPath, COMMAND, 'clone', 'ci', 'other'], environment: this.#vm.workplace.environment };
  }

  /** What is wrong with the VM after a kill: it is as lazy as it was, or has all of its disk. */
  findings(): string[] {
    const at = (file: string): string => path.join(this.#vm.directory, file);
    if (existsSync(at('disk.img'))) return this.#isWhole('ci') ? [] : ['the disk lacks something'];
    const isThere = ['.lazy.json', '.lazy-manifest.json'].every((file) => existsSync(at(file)));
    const isKept = existsSync(at('lazy.qcow2')) && readFileSync(at('lazy.qcow2')).equals(this.written);
    return [
      ...(isThere ? [] : ['it is not lazy any more']),
      ...(isKept ? [] : ['what the guest wrote is not as it was']),
    ];
  }

  /** What is wrong when the command has come to its end. */
  findingsAtEnd(): string[] {
    const left = readdirSync(this.#vm.directory).filter((name) => name.includes('lazy'));
    return [
      ...(this.#isWhole('ci') && this.#isWhole('other') ? [] : ['a disk lacks something']),
      ...left.map((name) => `left behind: ${name}`),
    ];
  }

  #isWhole(name: string): boolean {
    return readFileSync(`${this.#vm.workplace.vmDirectory(name)}/disk.img`).equals(wholeDisk());
  }
}

describeWithParts('a disk that arrives without a run', ['strace', 'qemu-img'], () => {
  const cleanup = new Cleanup();
  afterAll(async () => cleanup.run());

  it('loses nothing that the guest wrote when the command or qemu-img is killed at any step (D37)', {
    timeout: 3_600_000,
  }, async () => {
    const place = await LazyPlace.make(cleanup);
    const counts = await countCalls(place.prepare(), place.log);
    expect(place.findingsAtEnd()).toStrictEqual([]);
    const faults = [...counts].flatMap(([call, count]) =>
      Array.from({ length: count }, (_, at): Fault => ({ call, nth: at + 1, effect: 'SIGKILL' })),
    );
    expect(faults.length).toBeGreaterThanOrEqual(LEAST_POINTS);
    const findings: Record<string, readonly string[]> = {};
    const chosen = isFull ? faults : spread(faults, QUICK);
    for (const fault of chosen) {
      const killed = await runWithFault(place.prepare(), fault, place.log);
      const found = [...(killed.fired ? [] : ['V10 the fault did not fire']), ...place.findings()];
      const again = await runPlainly(place.again());
      found.push(...(again.exitCode === 0 ? [] : [`V5 the second run: ${again.stderr}`]), ...place.findingsAtEnd());
      if (found.length > 0) findings[describeFault(fault)] = found;
    }
    report('points', 'complete', chosen.length);
    expect(findings).toStrictEqual({});
  });
});
