import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, truncateSync, openSync, writeSync, closeSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { plantGuest } from '../support/guest.ts';
import { patternBytes } from '../support/memory-device.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Gate } from '../support/real-gate.ts';
import { type Ran, type Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { startRealRegistry } from '../support/real-registry.ts';

/** Emulated, and on a busy machine. */
const BOOTED_WITHIN_S = '300';
const LONG_MS = 400_000;
const MIB = 1024 * 1024;
/** Behind what the guest starts from: nothing of it is read by itself. */
const PADDING_MIB = 8;

/** The guest mounts its file system, which notes when: that is its own matter. */
function takeSuperblock(expected: Buffer, from: Buffer): void {
  for (let at = 1024; at < expected.length - 1024; at += MIB) {
    // ext4's superblock is 1024 bytes behind the start of a partition, and this is its magic number.
    if (expected.readUInt16LE(at + 56) === 0xef53) from.copy(expected, at, at, at + 1024);
  }
}

/** The first bytes in which two disks differ, each as its place and what is there. */
function differences(one: Buffer, other: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < Math.max(one.length, other.length) && found.length < 10; at += 512) {
    const [here, there] = [one.subarray(at, at + 512), other.subarray(at, at + 512)];
    if (here.equals(there)) continue;
    const byte = here.findIndex((value, index) => value !== there[index]);
    found.push(`${at + byte}: ${here.subarray(byte, byte + 16).toString('hex')}`);
  }
  return found;
}

interface Layer {
  readonly mediaType: string;
  readonly digest: string;
}

/** The chunks of the disk. */
function layersOf(manifest: string): Layer[] {
  const { layers } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly layers: readonly Layer[] };
  return layers.filter(({ mediaType }) => mediaType.includes('disk'));
}

interface BootOrder {
  readonly from: string;
  readonly order: readonly number[];
  readonly layers: { readonly touched: { readonly count: number }; readonly all: { readonly count: number } };
}

const requestFor = (layer: Layer | undefined): string => `GET /v2/team/guest/blobs/${layer?.digest}`;

describeWithParts(
  'a VM whose disk arrives while it runs',
  ['qemu-system-x86_64', 'qemu-img', 'ovmf', 'mformat', 'depmod'],
  () => {
    const cleanup = new Cleanup();
    let gate: Gate;
    let user: Workplace;
    let image: string;
    /** As it was pushed. */
    let original: Buffer;

    beforeAll(async () => {
      const publisher = new Workplace(cleanup);
      plantGuest(publisher.vmDirectory('guest'));
      const file = `${publisher.vmDirectory('guest')}/disk.img`;
      const size = readFileSync(file).length;
      truncateSync(file, size + PADDING_MIB * MIB);
      const disk = openSync(file, 'r+');
      writeSync(disk, patternBytes(PADDING_MIB * MIB, 'padding'), 0, PADDING_MIB * MIB, size);
      closeSync(disk);
      original = readFileSync(file);
      const { port } = await startRealRegistry(cleanup, 'embedded');
      const pushed = await publisher.run('push', '--layer-size', '2', 'guest', `127.0.0.1:${port}/team/guest:latest`);
      expect(pushed).toMatchObject({ exitCode: 0 });
      gate = await Gate.start(cleanup, port);
      image = `127.0.0.1:${gate.port}/team/guest:latest`;
      user = new Workplace(cleanup);
    }, LONG_MS);
    afterAll(async () => cleanup.run());

    const at = (name: string): string => `${user.vmDirectory('ci')}/${name}`;

    function begin(): Running {
      const run = user.start('run', 'ci', '--no-graphics');
      cleanup.add(async () => {
        run.kill('SIGKILL');
        await run.ended.catch(() => undefined);
      });
      return run;
    }

    async function inGuest(script: string): Promise<Ran> {
      return user.run('exec', 'ci', 'sh', '-c', script);
    }

    /** Writes a word into the padding of the disk, and waits until it is there. */
    async function write(word: string, atMib: number): Promise<void> {
      const dd = `printf ${word} | dd of=/dev/vda bs=1 seek=${original.length - atMib * MIB} conv=notrunc,fsync`;
      expect(await inGuest(`${dd} && sync`)).toMatchObject({ exitCode: 0 });
    }

    /** Chunks that no journal has to prove any more. */
    function verified(): number {
      const [staging = ''] = readdirSync(`${user.home}/cache/.staging`);
      const journal = readFileSync(`${user.home}/cache/.staging/${staging}/.verified`, 'utf8');
      return new Set(journal.split('\n').filter((line) => /^\d+$/.test(line))).size;
    }

    it(
      'the guest begins before its image is here, keeps what it wrote when run is killed, and ends up with an ordinary disk (P39)',
      async () => {
        expect(await user.run('clone', '--lazy=always', image, 'ci')).toMatchObject({ exitCode: 0 });
        const layers = layersOf(at('.lazy-manifest.json'));
        const kept = requestFor(layers.at(-1));
        gate.treat = (request) => (request === kept ? { kind: 'stall', bytes: 0 } : { kind: 'pass' });

        const killed = begin();
        expect(await user.run('ip', 'ci', '--wait', BOOTED_WITHIN_S), killed.stderr).toMatchObject({ exitCode: 0 });
        expect(existsSync(at('disk.img'))).toBe(false);
        await write('first', 5);
        expect((await user.run('list', '--source', 'local')).stdout).toContain('running');
        const suspended = await user.run('suspend', 'ci');
        expect(suspended.stderr).toContain('its disk had not arrived yet');
        expect(suspended.stderr).toContain('next: when its disk has arrived, shut it down and run it again');
        await expect.poll(verified, { timeout: 60_000 }).toBe(layers.length - 1);
        killed.kill('SIGKILL');
        await killed.ended.catch(() => undefined);
        expect(existsSync(at('disk.img'))).toBe(false);
        const offline = new Workplace(cleanup);
        execFileSync('cp', ['-a', user.home, offline.home]);
        const before = gate.requests.length;

        const run = begin();
        expect(await user.run('ip', 'ci', '--wait', BOOTED_WITHIN_S), run.stderr).toMatchObject({ exitCode: 0 });
        // Another command that wants the image waits for the one fill.
        const pulled = user.start('pull', image);
        await write('second', 4);
        gate.treat = () => ({ kind: 'pass' });
        gate.cutOff();
        await expect.poll(() => existsSync(at('disk.img')), { timeout: 120_000 }).toBe(true);
        await expect.poll(() => run.stderr, { timeout: 20_000 }).toContain('the disk has arrived');
        await write('third', 3);
        expect(await inGuest(`tail -c ${5 * MIB} /dev/vda | head -c 5`)).toMatchObject({ stdout: 'first' });
        expect(await pulled.ended).toMatchObject({ exitCode: 0 });
        expect(await user.run('stop', 'ci')).toMatchObject({ exitCode: 0 });
        expect(await run.ended).toMatchObject({ exitCode: 0 });

        const expected = Buffer.from(original);
        for (const [word, atMib] of [
          ['first', 5],
          ['second', 4],
          ['third', 3],
        ] as const)
          expected.write(word, expected.length - atMib * MIB);
        takeSuperblock(expected, readFileSync(at('disk.img')));
        expect(differences(readFileSync(at('disk.img')), expected)).toStrictEqual([]);
        expect(readdirSync(user.vmDirectory('ci')).filter((name) => name.includes('lazy'))).toStrictEqual([]);
        // What was verified before run was killed did not come again.
        const blobs = gate.requests.slice(before).filter((line) => line.includes('/blobs/') && line !== kept);
        const chunks = new Set(layers.map(requestFor));
        expect(blobs.filter((line) => chunks.has(line))).toStrictEqual([]);
        // What the guest touched is known, from the partition table on, and nothing of the padding is in it.
        const { stdout } = await user.run('boot-order', '--format', 'json', image);
        const { from, order, layers: parts } = JSON.parse(stdout) as BootOrder;
        expect([from, order[0]]).toStrictEqual(['recorded', 0]);
        expect(parts.touched.count).toBeLessThanOrEqual(parts.all.count - 1);
        expect(new Set(order).size).toBe(order.length);
        expect(await user.run('boot-order', '--publish', image)).toMatchObject({ exitCode: 0 });
        expect(await user.run('doctor', '--deep')).toMatchObject({ exitCode: 0 });
        expect(await user.run('push', 'ci', image.replace('guest:', 'other:'))).toMatchObject({ exitCode: 0 });

        // The same without running it again: what the guest had flushed when run was killed is there.
        expect(await offline.run('clone', 'ci', 'copy')).toMatchObject({ exitCode: 0 });
        const killedDisk = readFileSync(`${offline.vmDirectory('copy')}/disk.img`);
        const flushed = Buffer.from(original);
        flushed.write('first', flushed.length - 5 * MIB);
        takeSuperblock(flushed, killedDisk);
        expect(differences(killedDisk, flushed)).toStrictEqual([]);
      },
      LONG_MS,
    );

    it(
      'a guest for one command begins before its image is here, and goes with the command though the rest never came',
      async () => {
        const other = new Workplace(cleanup);
        expect(await other.run('clone', '--lazy=always', image, 'looked-at')).toMatchObject({ exitCode: 0 });
        const layers = layersOf(`${other.vmDirectory('looked-at')}/.lazy-manifest.json`);
        const kept = requestFor(layers.at(-1));
        gate.treat = (request) => (request === kept ? { kind: 'stall', bytes: 0 } : { kind: 'pass' });
        const ran = await other.run('run', '--rm', '--lazy=always', image, '--', 'sh', '-c', 'echo here; exit 7');
        expect(ran, ran.stderr).toMatchObject({ exitCode: 7, stdout: 'here\n' });
        expect(ran.stderr).toContain('the guest begins while its disk arrives');
        expect(await other.names()).toEqual(['looked-at']);
        gate.treat = () => ({ kind: 'pass' });
        gate.cutOff();
        // What came stays: a pull goes on from there.
        const before = gate.requests.length;
        expect(await other.run('pull', image)).toMatchObject({ exitCode: 0 });
        const fetched = layers.filter((layer) => gate.requests.slice(before).includes(requestFor(layer)));
        expect(fetched).toContain(layers.at(-1));
        expect(fetched.length).toBeLessThan(layers.length / 2);
      },
      LONG_MS,
    );
  },
);
