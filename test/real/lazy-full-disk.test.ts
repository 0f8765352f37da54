import { existsSync, mkdirSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { imageOf, LazyLife } from '../support/lazy/lazy-life.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { needsSmallDisk, SmallDisk } from '../support/small-disk.ts';

const MIB = 1024 * 1024;
const LONG_MS = 3_600_000;

/** What lies on the small disk; all of them where `npm run acceptance full` asks for that. */
const IS_ALL = process.env['TARTLET_LAZY_FULL'] === 'all';
const PLACES = IS_ALL ? (['home', 'vms', 'cache'] as const) : (['home'] as const);
type Place = (typeof PLACES)[number] | 'vms' | 'cache';

/** As small as can be: image and disk have 16 MiB each, what the guest writes 9, and the kernel's console a few. */
const MIB_OF: Readonly<Record<Place, number>> = { home: 48, vms: 30, cache: 22 };

const DOES_NOT_ARRIVE =
  /^note: the disk does not arrive, .*: no space left on the device; free some space, and it goes/m;
const NO_ROOM_TO_BEGIN = /^note: the disk does not arrive, .* needs at least .*; free some space, and it goes on/m;
const STANDS_STILL =
  /^warning: the guest stands still, there is no room for what it writes \(No space left on device\): free some space where \S+\/vms\/ci\/lazy\.qcow2 lies, and it goes on by itself$/m;
const NEXT_RUN =
  /^note: the guest goes on with the image itself, and gets its own disk at its next run with room for it: /m;

describeWithParts('a disk that is full below a VM', ['qemu-system-x86_64', 'qemu-img', 'ovmf', 'mformat'], () => {
  const cleanup = new Cleanup();
  afterAll(async () => cleanup.run());

  function smallDisk(place: Place): { readonly home: string; readonly disk: SmallDisk } {
    const home = `${cleanup.directory()}/home`;
    mkdirSync(home);
    return { home, disk: SmallDisk.mount(cleanup, place === 'home' ? home : `${home}/${place}`, MIB_OF[place]) };
  }

  /** What is wrong of a VM whose run has ended, and of its home. */
  async function wrongWith(life: LazyLife): Promise<string[]> {
    const { exitCode, stdout } = await life.user.run('doctor', '--deep');
    return [
      ...life.misread(),
      ...(life.isWhole ? [...life.wrongOnDisk(), ...life.leftovers.map((name) => `${name} is left`)] : []),
      ...(exitCode === 0 ? [] : [`doctor: ${stdout}`]),
    ];
  }

  /** A clone for which there is no room is not made. */
  async function cloneWithoutRoom(life: LazyLife, disk: SmallDisk, next: RegExp): Promise<void> {
    disk.fill(MIB);
    const { exitCode, stderr } = await life.clone();
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[DISK_FULL\]: a VM of \S+ needs at least [\d.]+ MB.*1\.0 MB are free in/);
    expect(stderr).toMatch(next);
    expect(existsSync(life.directory)).toBe(false);
    disk.empty();
    expect(await life.clone()).toMatchObject({ exitCode: 0 });
  }

  /** Begins a guest that writes all the time. @param full of what arrives, when it begins. */
  async function begin(life: LazyLife, full: SmallDisk | undefined): Promise<void> {
    full?.fill(2 * MIB);
    const run = life.begin({ noisy: true });
    // QEMU reads the first sector of a disk before it begins.
    const isTold = (): boolean => full === undefined || NO_ROOM_TO_BEGIN.test(run.stderr);
    expect(await life.until(isTold), run.stderr).toBe(true);
    full?.empty();
    expect(await life.untilWritten(3), run.stderr).toBe(true);
  }

  /** No room for what arrives, and for what the guest writes; then there is some. */
  async function fillBelow(life: LazyLife, disk: SmallDisk, expected: readonly RegExp[]): Promise<void> {
    const { heldFrom, blobCount } = life.registry;
    // Some are asked for at once.
    expect(await life.until(() => life.registry.answered >= heldFrom - 8), life.run?.stderr).toBe(true);
    disk.fill();
    life.registry.heldFrom = blobCount - 2;
    const areTold = (): boolean => expected.every((line) => line.test(life.run?.stderr ?? ''));
    expect(await life.until(areTold), life.run?.stderr).toBe(true);
    life.remember();
    const before = life.told;
    disk.empty();
    const goesOn = (): boolean => life.said.noises > 0 && life.said.told >= before + 3;
    expect(await life.until(goesOn), life.run?.stderr).toBe(true);
    expect(await life.until(() => life.registry.answered >= blobCount - 8), life.run?.stderr).toBe(true);
  }

  /** No room for the VM's own disk, in its run and by `qemu-img`, and none for a run; then there is. */
  async function fillBelowCopy(life: LazyLife, disk: SmallDisk): Promise<void> {
    disk.fill(4 * MIB);
    life.registry.heldFrom = Number.POSITIVE_INFINITY;
    expect(await life.until(() => NEXT_RUN.test(life.run?.stderr ?? '')), life.run?.stderr).toBe(true);
    expect(await life.untilWritten(3), life.run?.stderr).toBe(true);
    await life.stop();
    expect([life.isWhole, existsSync(life.at('.lazy-disk.img'))]).toStrictEqual([false, false]);
    const cloned = await life.user.run('clone', 'ci', 'other');
    expect(cloned.stderr).toMatch(
      /^error\[DISK_FULL\]: the VM "ci" cannot be cloned: its disk has not arrived yet.*\nkept: /,
    );
    expect(cloned.stderr).toMatch(/^next: /m);
    disk.fill();
    const started = await life.begin().ended;
    expect(started.stderr).toMatch(/^error\[DISK_FULL\]: [^\n]+\n(?:kept: [^\n]+\n)?next: /);
    expect([cloned.exitCode, started.exitCode]).toStrictEqual([1, 1]);
    disk.empty();
    life.begin();
  }

  it.for(PLACES)(
    'whose disk arrives: each stage says so and goes on when there is room, and nothing is lost, with a small %s (D38)',
    { timeout: LONG_MS },
    async (place, context) => {
      needsSmallDisk(context);
      const { home, disk } = smallDisk(place);
      const life = await LazyLife.begin(cleanup, imageOf(16), { home });
      await cloneWithoutRoom(life, disk, place === 'vms' ? /^next: free some space/m : /^next: delete images or VMs/m);
      // Behind all that the guest writes: it may have to be read before.
      life.registry.heldFrom = Math.round(life.registry.blobCount * 0.85);
      await begin(life, place === 'vms' ? undefined : disk);
      const expected = [...(place === 'vms' ? [] : [DOES_NOT_ARRIVE]), ...(place === 'cache' ? [] : [STANDS_STILL])];
      await fillBelow(life, disk, expected);
      if (place !== 'cache') await fillBelowCopy(life, disk);
      life.registry.heldFrom = Number.POSITIVE_INFINITY;
      expect(await life.until(() => life.isWhole && life.said.isUp), life.run?.stderr).toBe(true);
      const { told } = life.said;
      expect(await life.until(() => life.said.told >= told + 3), life.run?.stderr).toBe(true);
      await life.stop();
      expect(await wrongWith(life)).toStrictEqual([]);
    },
  );

  it.for(IS_ALL ? ['moved'] : [])(
    'has room for a copy of the image, and none for what the guest wrote into its holes: that is %s by the next run (D38)',
    { timeout: LONG_MS },
    async (_, context) => {
      needsSmallDisk(context);
      const { home, disk } = smallDisk('home');
      const life = await LazyLife.begin(cleanup, imageOf(16, 'hole'), { home });
      expect(await life.clone()).toMatchObject({ exitCode: 0 });
      life.registry.heldFrom = life.registry.blobCount - 2;
      const run = life.begin({ noisy: true });
      expect(await life.until(() => life.said.noises > 0 && life.said.told > 3), run.stderr).toBe(true);
      expect(await life.until(() => life.registry.answered >= life.registry.heldFrom - 8), run.stderr).toBe(true);
      disk.fill(12 * MIB);
      life.registry.heldFrom = Number.POSITIVE_INFINITY;
      expect(await life.until(() => NEXT_RUN.test(run.stderr)), run.stderr).toBe(true);
      expect(run.stderr).toContain('QEMU cannot copy the disk: No space left on device\n');
      expect(await life.untilWritten(3), run.stderr).toBe(true);
      await life.stop();
      expect([life.isWhole, existsSync(life.at('.lazy-disk.img'))]).toStrictEqual([false, false]);
      disk.empty();
      const again = life.begin();
      expect(await life.until(() => life.isWhole && life.said.isUp), again.stderr).toBe(true);
      await life.stop();
      expect(await wrongWith(life)).toStrictEqual([]);
    },
  );
});
