import { appendFileSync, closeSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { plantGuest } from '../support/guest.ts';
import { patternBytes } from '../support/memory-device.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { startRealRegistry } from '../support/real-registry.ts';
import { Relay } from '../support/relay.ts';
import { sha256 } from '../support/tart-image.ts';

/** Emulated, and on a busy machine. */
const BOOTED_WITHIN_S = '300';
const LONG_MS = 600_000;
const MIB = 1024 * 1024;
/** Behind what the guest starts from: nothing of it is read by itself. */
const PADDING_MIB = 8;

/** Milliseconds for which the network is away at least; `npm run acceptance l7` wants 10 s and 60 s, in each way. */
const ASKED_MS = process.env['TARTLET_LAZY_CUT_MS'];
const CUT_MS = Number(ASKED_MS ?? '1500');
const WAYS = ASKED_MS === undefined ? (['silently'] as const) : (['silently', 'with resets'] as const);
const REPORT = process.env['TARTLET_LAZY_REPORT'];

describeWithParts(
  'a network that goes away while a guest runs',
  ['qemu-system-x86_64', 'qemu-img', 'ovmf', 'mformat', 'depmod'],
  () => {
    const cleanup = new Cleanup();
    let relay: Relay;
    let image: string;
    let padding: Buffer;

    beforeAll(async () => {
      const publisher = new Workplace(cleanup);
      plantGuest(publisher.vmDirectory('guest'));
      const file = `${publisher.vmDirectory('guest')}/disk.img`;
      const size = readFileSync(file).length;
      padding = Buffer.from(patternBytes(PADDING_MIB * MIB, 'padding'));
      truncateSync(file, size + padding.length);
      const disk = openSync(file, 'r+');
      writeSync(disk, padding, 0, padding.length, size);
      closeSync(disk);
      const { port } = await startRealRegistry(cleanup, 'embedded');
      const pushed = await publisher.run('push', '--layer-size', '1', 'guest', `127.0.0.1:${port}/team/guest:latest`);
      expect(pushed).toMatchObject({ exitCode: 0 });
      relay = await Relay.start(port);
      cleanup.add(async () => relay.close());
      image = `127.0.0.1:${relay.port}/team/guest:latest`;
    }, LONG_MS);
    afterAll(async () => cleanup.run());

    /** Nothing comes for a while. @returns after how long it comes again, in milliseconds. */
    async function cut(how: 'silently' | 'with resets'): Promise<number> {
      const gone = performance.now();
      const { connections } = relay;
      if (how === 'silently') relay.swallow();
      else {
        relay.rule = () => ({ bytes: 0, end: 'rst' });
        relay.reset();
      }
      const isOver = (): boolean => performance.now() - gone >= CUT_MS && relay.connections > connections + 4;
      await expect.poll(isOver, { timeout: LONG_MS, interval: 20 }).toBe(true);
      const before = relay.delivered;
      relay.rule = () => undefined;
      relay.comeBack();
      const back = performance.now();
      // More than answers to whether the registry is there.
      await expect.poll(() => relay.delivered - before, { timeout: 60_000, interval: 20 }).toBeGreaterThan(10_000);
      return performance.now() - back;
    }

    it.each(WAYS)(
      'the guest sees no error when it goes %s, while it boots and later, and goes on within 2 s of its return (N72)',
      async (how) => {
        const user = new Workplace(cleanup);
        expect(await user.run('clone', '--lazy=always', image, 'ci')).toMatchObject({ exitCode: 0 });
        const before = relay.delivered;
        // Only what the guest waits for comes: so it is the guest that waits.
        const environment = { ...user.environment, TARTLET_LAZY_FILL: 'off' };
        const patient: Workplace = Object.assign(Object.create(user) as Workplace, { withinMs: LONG_MS });
        const asked: Workplace = Object.assign(Object.create(patient) as Workplace, { environment });
        const run: Running = asked.start('run', 'ci', '--no-graphics');
        cleanup.add(async () => {
          run.kill('SIGKILL');
          await run.ended.catch(() => undefined);
        });
        await expect.poll(() => relay.delivered - before, { timeout: LONG_MS }).toBeGreaterThan(MIB);
        const booting = await cut(how);
        expect(await user.run('ip', 'ci', '--wait', BOOTED_WITHIN_S), run.stderr).toMatchObject({ exitCode: 0 });
        const delivered = relay.delivered;
        const reading = patient.start('exec', 'ci', 'sh', '-c', `tail -c ${padding.length} /dev/vda | sha256sum`);
        await expect.poll(() => relay.delivered, { timeout: 60_000 }).toBeGreaterThan(delivered + MIB / 4);
        const running = await cut(how);
        expect(await reading.ended).toMatchObject({ exitCode: 0, stdout: `${sha256(padding).slice(7)}  -\n` });
        const log = await user.run('exec', 'ci', 'dmesg');
        expect(log.exitCode).toBe(0);
        expect(
          log.stdout.split('\n').filter((line) => /I\/O error|blk_update|Buffer I\/O|EXT4-fs error/.test(line)),
        ).toEqual([]);
        expect(Math.max(booting, running)).toBeLessThan(2000);
        if (REPORT !== undefined)
          appendFileSync(REPORT, `${JSON.stringify({ how, cutMs: CUT_MS, booting, running })}\n`);
        expect(await user.run('stop', 'ci')).toMatchObject({ exitCode: 0 });
        expect(await run.ended).toMatchObject({ exitCode: 0 });
      },
      LONG_MS,
    );
  },
);
