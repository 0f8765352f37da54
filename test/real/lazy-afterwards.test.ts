import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { leaveOut } from '../support/left-out.ts';
import { imageOf, LazyLife } from '../support/lazy/lazy-life.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { describeWithParts } from '../support/real-parts.ts';

/** So many samples of each disk, where `npm run acceptance l8` asks for that. */
const SAMPLES = Number(process.env['TARTLET_LAZY_SAMPLES'] ?? 0);
const LONG_MS = 3_600_000;
const MIB = 1024 * 1024;

interface BlockNode {
  readonly 'node-name': string;
  readonly drv: string;
  readonly file: string;
  readonly image: { readonly filename: string };
}

/** What QEMU says of the nodes of the first disk, without their names. */
async function nodesOf(life: LazyLife): Promise<unknown[]> {
  const nodes = (await life.ask('query-named-block-nodes', { flat: true })) as readonly BlockNode[];
  return nodes
    .filter(({ file, drv }) => !/OVMF|\.fd$/.test(file) && drv !== 'null-co')
    .map((node): unknown => {
      // The file was opened by way of the process that held it, and renamed.
      const text = JSON.stringify({ ...node, 'node-name': '' }).replaceAll(/\/proc\/\d+\/fd\/\d+/g, 'disk.img');
      return JSON.parse(text);
    });
}

/** What of a QEMU leads to another server: words of its command line, and sockets that are no monitors of ours. */
function nbdOf(life: LazyLife): string[] {
  const words = readFileSync(`/proc/${life.qemu}/cmdline`, 'utf8').split('\0');
  return [
    ...words.filter((word) => /nbd|lazy/.test(word)),
    ...readdirSync(life.directory).filter((name) => /lazy/.test(name)),
  ];
}

/** Median time of reads, in milliseconds. */
async function timeReads(life: LazyLife, node: string, reads: readonly string[]): Promise<number> {
  const begun = performance.now();
  for (const read of reads) {
    const said = await life.ask('human-monitor-command', { 'command-line': `qemu-io ${node} "${read}"` });
    if (said !== '') throw new Error(String(said));
  }
  return performance.now() - begun;
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

describeWithParts('a disk that has arrived', ['qemu-system-x86_64', 'qemu-img', 'ovmf', 'mformat', 'depmod'], () => {
  const cleanup = new Cleanup();
  afterAll(async () => cleanup.run());

  /** A VM whose disk arrived while it ran, and which runs on. */
  async function arrived(): Promise<LazyLife> {
    const life = await LazyLife.begin(cleanup, imageOf(16));
    expect(await life.clone()).toMatchObject({ exitCode: 0 });
    const run = life.begin();
    await life.listen(() => undefined);
    expect(await life.until(() => run.stderr.includes('the disk has arrived')), run.stderr).toBe(true);
    return life;
  }

  it('is to QEMU what the disk of every VM is, and nothing leads to a server any more', {
    timeout: LONG_MS,
  }, async () => {
    const life = await arrived();
    const gone = await nodesOf(life);
    expect(readdirSync(life.directory).filter((name) => name.includes('lazy'))).toStrictEqual([]);
    await life.kill('run');
    life.begin();
    await life.listen(() => undefined);
    const normal = await nodesOf(life);
    expect(normal.length).toBeGreaterThan(1);
    expect(gone).toStrictEqual(normal);
    expect(nbdOf(life)).toStrictEqual([]);
    await life.kill('run');
  });

  it('needs no server where the image came before the VM first ran', { timeout: LONG_MS }, async () => {
    const life = await LazyLife.begin(cleanup, imageOf(16));
    expect(await life.clone()).toMatchObject({ exitCode: 0 });
    expect(await life.user.run('pull', life.name)).toMatchObject({ exitCode: 0 });
    const run = life.begin();
    await life.listen(() => undefined);
    expect([life.isWhole, ...nbdOf(life)]).toStrictEqual([true]);
    expect(run.stderr).not.toContain('arrive');
    await life.kill('run');
  });

  it('is read as fast as that of a plain clone', { timeout: LONG_MS }, async (context) => {
    leaveOut(context, SAMPLES === 0, 'speed is measured by `npm run acceptance l8`');
    const lazy = await arrived();
    const plain = await LazyLife.begin(cleanup, imageOf(16));
    expect(await plain.user.run('clone', plain.name, 'ci')).toMatchObject({ exitCode: 0 });
    plain.begin();
    await plain.listen(() => undefined);
    const reads = {
      sequential: Array.from({ length: 64 }, (_, at) => `read -q ${(at % 16) * MIB} ${MIB}`),
      random: Array.from({ length: 500 }, (_, at) => `read -q ${((at * 2654435761) % 4096) * 4096} 4096`),
    };
    const sides = [
      { life: lazy, node: 'whole-disk' },
      { life: plain, node: 'disk0' },
    ] as const;
    // The guests stand still: only QEMU and the disk are measured.
    for (const { life, node } of sides) {
      await life.ask('stop');
      // A process that has freed so large a buffer once keeps smaller ones (`mallopt(3)`, M_MMAP_THRESHOLD): the copy of
      // the disk has done that to the one QEMU.
      await timeReads(life, node, [`read -q 0 ${16 * MIB}`]);
    }
    const ratios: Record<string, number> = {};
    for (const [kind, list] of Object.entries(reads)) {
      const times: [number[], number[]] = [[], []];
      for (let sample = 0; sample < SAMPLES; sample += 1)
        for (const side of sample % 2 === 0 ? [0, 1] : [1, 0]) {
          const { life, node } = sides[side as 0 | 1];
          times[side as 0 | 1].push(await timeReads(life, node, list));
        }
      ratios[kind] = medianOf(times[0]) / medianOf(times[1]);
    }
    for (const { life } of sides) await life.kill('run');
    const report = process.env['TARTLET_LAZY_REPORT'];
    if (report !== undefined) appendFileSync(report, `${JSON.stringify({ ratios })}\n`);
    expect(existsSync(lazy.at('lazy.sock'))).toBe(false);
  });
});
