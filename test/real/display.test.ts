import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { plantBareMachine, SCREEN } from '../support/bare-machine.ts';
import { leaveOut } from '../support/left-out.ts';
import { lookAtPng } from '../support/png.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Running, Workplace } from '../support/real-command.ts';
import { describeWithParts, hasPart, partPath } from '../support/real-parts.ts';
import { lookByVnc, type Seen } from '../support/rfb.ts';

/** The rule by which Packer's plugin finds the server (run-fleet-demand §5.1). */
const PACKER = /vnc:\/\/.*:(.*)@(.*):([0-9]{1,5})/;
const LONG_MS = 180_000;

/** The firmware for PCs begins in a size of its own; the guest's driver takes that of the configuration. */
const FIRMWARE_SCREEN = { width: 1280, height: 800 };

/** Names of 96 characters are what drivers make (run-fleet-demand §8, 13). */
const LONG_NAME = 'v'.repeat(96);

describeWithParts(
  'the screen of a VM',
  ['qemu-system-x86_64', 'ovmf', 'qemu-system-aarch64', 'qemu-efi-aarch64'],
  () => {
    const cleanup = new Cleanup();
    let workplace: Workplace;
    const started: Running[] = [];

    beforeAll(() => {
      workplace = new Workplace(cleanup);
      plantBareMachine(workplace.vmDirectory(LONG_NAME));
      plantBareMachine(workplace.vmDirectory('arm'), 'arm64');
    });
    afterAll(async () => cleanup.run());
    // What fails leaves nothing running for the next.
    afterEach(async () => {
      for (const running of started.splice(0)) {
        running.kill('SIGKILL');
        await running.ended.catch(() => undefined);
      }
      while ((await workplace.run('list')).stdout.includes('running')) await delay(20);
    });

    function start(environment: Readonly<Record<string, string>>, ...args: readonly string[]): Running {
      const running = new Running(process.execPath, [COMMAND, 'run', ...args], {
        ...workplace.environment,
        ...environment,
      });
      started.push(running);
      return running;
    }

    async function until(running: Running, isThere: () => boolean): Promise<void> {
      while (!isThere()) {
        if (running.child.exitCode !== null) throw new Error(`run ended: ${running.stdout}${running.stderr}`);
        await delay(20);
      }
    }

    async function end(running: Running): Promise<void> {
      running.kill('SIGTERM');
      running.kill('SIGINT');
      expect(await running.ended).toMatchObject({ exitCode: 0 });
    }

    /** Looks until there is more than one colour: a firmware clears the screen between its pictures. */
    async function untilSeen(port: number, password: string): Promise<Seen> {
      for (;;) {
        const seen = await lookByVnc(port, password);
        if (seen === 'refused') throw new Error('refused');
        if (new Set(seen.pixels).size > 2) return seen;
        await delay(100);
      }
    }

    /** Takes pictures until one is of this size, and not black: before it starts, QEMU shows a text of its own. */
    async function untilShown(name: string, { width, height }: typeof SCREEN): Promise<void> {
      const file = `${workplace.directory}/${name.slice(0, 8)}.png`;
      for (;;) {
        expect(await workplace.run('screenshot', name, file)).toEqual({ exitCode: 0, stdout: '', stderr: '' });
        const seen = lookAtPng(readFileSync(file));
        if (!seen.isBlack && seen.width === width && seen.height === height) return;
        await delay(100);
      }
    }

    it.each([
      ['arm64', 'arm', SCREEN, ['--allow-emulation']],
      ['amd64', LONG_NAME, FIRMWARE_SCREEN, []],
    ] as const)(
      'M19: is shown by VNC to who has the password, and to no other, and by screenshot: %s',
      async (_, name, screen, flags) => {
        const running = start({}, name, '--no-graphics', '--vnc-experimental', ...flags);
        await until(running, () => running.stdout.includes('\n'));
        expect(running.stdout).toMatch(/^VNC server is running at vnc:\/\/:[\w-]{8}@127\.0\.0\.1:59\d\d\n$/);
        const [, password = '', host, port] = PACKER.exec(running.stdout) ?? [];
        expect(host).toBe('127.0.0.1');
        await untilShown(name, screen);
        const seen = await untilSeen(Number(port), password);
        expect({ width: seen.width, height: seen.height }).toEqual(screen);
        expect(seen.pixels).toHaveLength(screen.width * screen.height * 4);
        expect(await lookByVnc(Number(port), `${password.slice(0, -1)}!`)).toBe('refused');
        expect(await lookByVnc(Number(port), '')).toBe('refused');
        await end(running);
        expect(readdirSync(workplace.vmDirectory(name)).filter((each) => /sock|png/.test(each))).toEqual([]);
      },
      LONG_MS,
    );

    it(
      'is taken by several at once, to stdout and over a file that is there, and leaves nothing behind',
      async () => {
        const running = start({}, LONG_NAME);
        await until(running, () => existsSync(`${workplace.vmDirectory(LONG_NAME)}/requests.sock`));
        const file = `${workplace.directory}/old.png`;
        writeFileSync(file, 'old');
        const taken = await Promise.all([
          workplace.run('screenshot', LONG_NAME, file),
          workplace.run('screenshot', LONG_NAME, file),
          workplace.shell(`$TARTLET screenshot ${LONG_NAME} - | head -c 8 | od -An -tx1`),
        ]);
        expect(taken.map(({ exitCode, stderr }) => ({ exitCode, stderr }))).toEqual(
          taken.map(() => ({ exitCode: 0, stderr: '' })),
        );
        expect(taken[2]?.stdout).toBe(' 89 50 4e 47 0d 0a 1a 0a\n');
        expect(lookAtPng(readFileSync(file)).width).toBeGreaterThan(0);
        expect(await workplace.run('screenshot', LONG_NAME, '/nowhere/screen.png')).toMatchObject({
          exitCode: 1,
          stderr: expect.stringMatching(/^error\[DISK_IO\]|^error\[/),
        });
        await end(running);
        expect(await workplace.run('screenshot', LONG_NAME, file)).toMatchObject({
          exitCode: 2,
          stderr: expect.stringContaining('is not running'),
        });
        expect(readdirSync(workplace.directory).filter((name) => name.includes('old.png'))).toEqual(['old.png']);
      },
      LONG_MS,
    );

    it(
      'does not keep the VM from being suspended, clipboard and all, nor from going on without it',
      async () => {
        const first = start({}, LONG_NAME, '--vnc');
        await until(first, () => first.stdout.includes('VNC'));
        expect(first.stderr).toContain('this is the VNC server of QEMU');
        expect(await workplace.run('suspend', LONG_NAME)).toMatchObject({ exitCode: 0 });
        expect(await first.ended).toMatchObject({ exitCode: 0, stderr: expect.not.stringContaining('not suspended') });
        expect((await workplace.run('list')).stdout).toContain('suspended');
        const second = start({}, LONG_NAME, '--no-clipboard');
        await until(second, () => existsSync(`${workplace.vmDirectory(LONG_NAME)}/requests.sock`));
        await untilShown(LONG_NAME, FIRMWARE_SCREEN);
        await end(second);
        expect(second.stderr).not.toContain('cannot go on');
      },
      LONG_MS,
    );

    it.each([
      ['where there is no desktop', {}],
      ['where the desktop does not answer', { DISPLAY: ':1' }],
    ])(
      'is no reason to fail %s: one line says that there is no window',
      async (_, environment: Record<string, string>) => {
        const running = start(environment, LONG_NAME, '--graphics', '--vnc-experimental');
        await until(running, () => running.stdout.includes('VNC'));
        await end(running);
        expect(running.stderr.split('\n').filter((line) => line.includes('without a window'))).toHaveLength(1);
      },
      LONG_MS,
    );

    it(
      'is a window where there is a desktop',
      async (context) => {
        leaveOut(context, !hasPart('Xvfb') || !hasPart('xwininfo'), 'no Xvfb and xwininfo here');
        const server = spawn(partPath('Xvfb'), ['-displayfd', '1', '-screen', '0', '1280x1024x24'], {
          stdio: ['ignore', 'pipe', 'ignore'],
        });
        cleanup.add(() => void server.kill('SIGKILL'));
        const number = await new Promise<string>((resolve) =>
          server.stdout.once('data', (text: Buffer) => resolve(text.toString())),
        );
        const DISPLAY = `:${number.trim()}`;
        const running = start({ DISPLAY }, LONG_NAME, '--graphics', '--capture-system-keys');
        await until(running, () => existsSync(`${workplace.vmDirectory(LONG_NAME)}/requests.sock`));
        const hasWindow = (): boolean =>
          execFileSync(partPath('xwininfo'), ['-root', '-tree', '-display', DISPLAY], { encoding: 'utf8' }).includes(
            LONG_NAME,
          );
        await until(running, () => hasWindow() || running.stderr.includes('without a window'));
        leaveOut(context, running.stderr.includes('not available'), 'no qemu-system-gui here');
        expect(running.stderr).not.toContain('without a window');
        await end(running);
      },
      LONG_MS,
    );

    it.each([
      ['twice in one', ['--vnc', '--vnc-experimental'], /exclude each other/],
      ['with keys of a desktop and no window', ['--capture-system-keys'], /is for a window, and there is none/],
      ['without a trackpad, which guests of Linux have not', ['--no-trackpad'], /--no-trackpad is for guests/],
    ])('is not shown %s', async (_, flags, reason) => {
      expect(await workplace.run('run', LONG_NAME, ...flags)).toMatchObject({
        exitCode: 64,
        stderr: expect.stringMatching(reason),
      });
    });
  },
);
