import { appendFileSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { pointsOf, QUICK_POINTS } from '../support/lazy/kill-points.ts';
import { imageOf, LazyLife, tryKill } from '../support/lazy/lazy-life.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

/** So many points and pivots, where `npm run acceptance l6` or `l5` asks for that. */
const KILLS = Number(process.env['TARTLET_LAZY_KILLS'] ?? 0);
const PIVOTS = Number(process.env['TARTLET_LAZY_PIVOTS'] ?? 1);
const LONG_MS = 3_600_000;
const MOST_TRIES = 9;

/** What a kill may bring to be fetched again, as a share of the image. */
const MOST_AGAIN = 0.02;

/** To the acceptance, which counts. */
function report(what: Readonly<Record<string, unknown>>): void {
  const file = process.env['TARTLET_LAZY_REPORT'];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(what)}\n`);
}

/** From 0 to 1, spread evenly. */
function chanceOf(number: number): number {
  return (number * 0.618_033_988_75) % 1;
}

/** Files of all names of images and what is in them, without times. */
function filesOf(home: string): Record<string, string> {
  const images = `${home}/cache/OCIs`;
  const files = readdirSync(images, { recursive: true, encoding: 'utf8' })
    .filter((file) => statSync(path.join(images, file)).isFile())
    .filter((file) => !['.last-used', '.disk-seal.json', '.boot-order.json'].includes(path.basename(file)));
  return Object.fromEntries(
    files.toSorted().map((file) => {
      const bytes = readFileSync(path.join(images, file));
      return [file, file.endsWith('.origin.json') ? 'times differ' : bytes.toString('base64')];
    }),
  );
}

describeWithParts('a VM whose disk arrives', ['qemu-system-x86_64', 'qemu-img', 'ovmf', 'mformat', 'depmod'], () => {
  const cleanup = new Cleanup();
  afterAll(async () => cleanup.run());

  /** What is wrong once the last run of a VM has ended. */
  async function judge(life: LazyLife): Promise<string[]> {
    const { exitCode, stdout } = await life.user.run('doctor', '--deep');
    return [
      ...life.misread(),
      ...life.wrongOnDisk(),
      ...life.leftovers.map((name) => `${name} is left`),
      ...(exitCode === 0 ? [] : [`doctor: ${stdout}`]),
    ];
  }

  /** The guest sees all that was flushed, writes more, and is stopped. */
  async function lastRun(life: LazyLife): Promise<void> {
    life.registry.heldFrom = Number.POSITIVE_INFINITY;
    life.begin();
    expect(await life.until(() => life.isWhole && life.said.isUp), life.run?.stderr).toBe(true);
    expect(await life.untilWritten(5), life.run?.stderr).toBe(true);
    await life.stop();
  }

  it('goes on after every kill, fetches hardly anything again, and loses nothing that was flushed (P39, P41)', {
    timeout: LONG_MS,
  }, async () => {
    const image = imageOf(16);
    let killed = 0;
    for (let number = 0; killed < Math.max(1, KILLS); number += 1) {
      const life = await LazyLife.begin(cleanup, image);
      life.registry.heldFrom = Math.round(life.registry.blobCount * 0.1);
      if (KILLS === 0) await life.clone();
      const hits: { readonly name: string; readonly again: number; readonly doctor: number | undefined }[] = [];
      for (const point of KILLS === 0 ? QUICK_POINTS : pointsOf(number)) {
        // Then a run has nothing to do any more that is looked at here.
        if (life.isWhole) break;
        const before = life.registry.again;
        await point.hit(life, chanceOf((killed += 1)));
        const again = (life.registry.again - before) / life.registry.diskBytes;
        const { exitCode } = await life.user.run('doctor');
        hits.push({ name: point.name, again, doctor: exitCode });
      }
      await lastRun(life);
      const wrong = await judge(life);
      report({ what: 'life', number, hits, records: life.told, wrong, again: life.registry.again });
      expect({ number, wrong }).toStrictEqual({ number, wrong: [] });
      expect(hits.filter(({ again, doctor }) => again > MOST_AGAIN || doctor !== 0)).toStrictEqual([]);
    }
  });

  it('has all that a guest flushed before, during and after its disk takes its place, and the image is as pulled (P40)', {
    timeout: LONG_MS,
  }, async () => {
    const image = imageOf(16);
    for (let number = 0; number < PIVOTS; number += 1) {
      const life = await LazyLife.begin(cleanup, image);
      expect(await life.clone()).toMatchObject({ exitCode: 0 });
      life.registry.heldFrom = life.registry.blobCount - 2;
      const run = life.begin({ noisy: true, reads: [13, 14] });
      const records = { before: 0, during: 0, after: 0 };
      await life.listen((told) => {
        if (told.kind === 'job' && told.status === 'running') records.before = life.said.told;
        if (told.kind === 'resume') records.during = life.said.told - records.before;
      });
      expect(await life.untilWritten(10), run.stderr).toBe(true);
      expect(await life.until(() => life.said.hasReadAll && life.said.noises > 0)).toBe(true);
      life.registry.heldFrom = Number.POSITIVE_INFINITY;
      expect(await life.until(() => run.stderr.includes('the disk has arrived')), run.stderr).toBe(true);
      const told = life.said.told;
      expect(await life.until(() => life.said.told >= told + 10), run.stderr).toBe(true);
      const ended = await life.stop();
      records.after = life.told - records.before - records.during;
      const wrong = await judge(life);
      const fetched = life.registry.sentBytes / life.registry.diskBytes;
      const plain = new Workplace(cleanup);
      expect(await plain.run('pull', life.name)).toMatchObject({ exitCode: 0 });
      const [ours, theirs] = [filesOf(life.user.home), filesOf(plain.home)];
      if (JSON.stringify(ours) !== JSON.stringify(theirs))
        wrong.push(`the image differs: ${Object.keys(ours).join()} and ${Object.keys(theirs).join()}`);
      report({ what: 'pivot', number, records, wrong, fetched });
      expect({ wrong, stderr: ended?.stderr }).toStrictEqual({ wrong: [], stderr: run.stderr });
      expect(run.stderr).not.toContain('Warning');
    }
  });

  /** A run whose QEMU gets a signal when the copy of its disk begins. */
  async function hitQemu(life: LazyLife, signal: 'SIGKILL' | 'SIGSTOP'): Promise<Running> {
    const run = life.begin();
    let isHit = false;
    await life.listen((told) => {
      if (told.kind !== 'job' || isHit) return;
      isHit = true;
      tryKill(life.qemu ?? 0, signal);
    });
    expect(await life.until(() => isHit), run.stderr).toBe(true);
    return run;
  }

  it('says what it was when QEMU is killed while the disk takes its place (P41)', { timeout: LONG_MS }, async () => {
    let life: LazyLife;
    // Where this process is slow, the disk has its name when the signal comes: then another VM shows it.
    for (let tries = 0; ; tries += 1) {
      life = await LazyLife.begin(cleanup, imageOf(16));
      expect(await life.clone()).toMatchObject({ exitCode: 0 });
      const { exitCode, stderr } = await (await hitQemu(life, 'SIGKILL')).ended;
      expect(exitCode).toBe(1);
      expect(stderr).toContain('error: the VM ended by an accident: QEMU was ended by SIGKILL\n');
      expect(stderr).not.toContain('the guest goes on');
      if (!life.isWhole || tries === MOST_TRIES) break;
    }
    expect([life.isWhole, existsSync(life.at('.lazy-disk.img'))]).toStrictEqual([false, false]);
  });

  // A QEMU that hangs is waited for: 10 s.
  it('can be ended when QEMU hangs while the disk takes its place', { timeout: LONG_MS }, async () => {
    const life = await LazyLife.begin(cleanup, imageOf(16));
    expect(await life.clone()).toMatchObject({ exitCode: 0 });
    const run = await hitQemu(life, 'SIGSTOP');
    run.kill('SIGINT');
    expect(await life.until(() => run.stdout.includes('Stopping VM...')), run.stderr).toBe(true);
    run.kill('SIGINT');
    const { exitCode, stderr } = await run.ended;
    expect(exitCode).toBe(1);
    expect(stderr).toContain('QEMU did not end within 10 s, and was killed');
    expect(stderr).not.toContain('the guest goes on');
    await lastRun(life);
    expect(await judge(life)).toStrictEqual([]);
  });
});
