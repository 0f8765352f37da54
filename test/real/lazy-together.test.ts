import { appendFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { imageOf, LazyLife } from '../support/lazy/lazy-life.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import type { Running } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

/** So many rounds, where `npm run acceptance l10` asks for that. */
const ROUNDS = Number(process.env['TARTLET_LAZY_ROUNDS'] ?? 1);
const LONG_MS = 3_600_000;

/** What may come again when the process that fetches is killed, as a share of the image: what was under way. */
const MOST_AGAIN = 0.02;

describeWithParts(
  'two VMs and a pull of one image',
  ['qemu-system-x86_64', 'qemu-img', 'ovmf', 'mformat', 'depmod'],
  () => {
    const cleanup = new Cleanup();
    afterAll(async () => cleanup.run());

    /** @param killed which of them is killed when a third of the image is here. */
    async function together(
      killed: 'none' | 'run' | 'pull',
    ): Promise<{ readonly most: number; readonly again: number; readonly pulled: number | undefined }> {
      const one = await LazyLife.begin(cleanup, imageOf(16));
      const other = one.beside('other');
      for (const life of [one, other]) expect(await life.clone()).toMatchObject({ exitCode: 0 });
      const { registry } = one;
      registry.heldFrom = Math.round(registry.blobCount / 3);
      const pull = (): Running => one.user.start('pull', one.name);
      // The first one has the lock, and fetches.
      const first = killed === 'pull' ? pull() : one.begin();
      await expect.poll(() => registry.answered, { timeout: 60_000 }).toBeGreaterThan(0);
      for (const life of killed === 'pull' ? [one, other] : [other]) life.begin();
      const pulling = killed === 'pull' ? first : pull();
      expect(await other.until(() => registry.answered >= registry.heldFrom)).toBe(true);
      for (const life of [one, other])
        expect(await life.until(() => life.run?.stderr.includes('the guest begins') === true)).toBe(true);
      if (killed === 'run') await one.kill('run');
      if (killed === 'pull') pulling.kill('SIGKILL');
      registry.heldFrom = Number.POSITIVE_INFINITY;
      for (const life of killed === 'run' ? [other] : [one, other]) {
        expect(await life.until(() => life.run?.stderr.includes('the disk has arrived') === true)).toBe(true);
        await life.kill('run');
        expect(life.wrongOnDisk()).toStrictEqual([]);
      }
      const pulled = (await pulling.ended).exitCode;
      return { most: Math.max(...registry.asked.values()), again: registry.again / registry.diskBytes, pulled };
    }

    it.each(['none', 'run', 'pull'] as const)(
      'fetch each part once, also when the one that fetches is killed: %s (P44)',
      { timeout: LONG_MS },
      async (killed) => {
        for (let round = 0; round < ROUNDS; round += 1) {
          const { most, again, pulled } = await together(killed);
          const file = process.env['TARTLET_LAZY_REPORT'];
          if (file !== undefined) appendFileSync(file, `${JSON.stringify({ killed, most, again })}\n`);
          expect(pulled).toBe(killed === 'pull' ? undefined : 0);
          expect(most).toBeLessThanOrEqual(killed === 'none' ? 1 : 2);
          expect(again).toBeLessThanOrEqual(killed === 'none' ? 0 : MOST_AGAIN);
        }
      },
    );
  },
);
