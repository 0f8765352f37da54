import { existsSync, readdirSync } from 'node:fs';
import { afterAll, afterEach, expect, it, vi } from 'vitest';
import { runLazyDemo } from '../../src/cli/demo/lazy-demo.ts';
import type { Terminal } from '../../src/cli/terminal/terminal.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { runHere, terminalHere } from '../support/here.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

const MIB = 1024 ** 2;
const LONG_MS = 200_000;
const cleanup = new Cleanup();
afterAll(async () => cleanup.run());
afterEach(() => void vi.unstubAllEnvs());

/** A place for what the demo makes, to see that it goes. */
function ownTemporaryDirectory(): string {
  const directory = temporaryDirectory();
  vi.stubEnv('TMPDIR', directory);
  return directory;
}

function leftIn(directory: string): string[] {
  return readdirSync(directory).filter((name) => name.startsWith('tartlet-demo'));
}

/** As `terminalHere`, with what this machine has. */
function terminal(changes: Partial<Pick<Terminal, 'signal' | 'platform'>> = {}): ReturnType<typeof terminalHere> {
  const here = terminalHere(new Workplace(cleanup, { isFresh: true }), ['demo', '--lazy'], undefined);
  const environment = { ...here.environment, PATH: process.env['PATH'] };
  return { ...here, environment, ...changes };
}

describeWithParts('demo --lazy', ['qemu-system-x86_64', 'ovmf', 'qemu-img'], () => {
  it(
    'starts a guest when its image was pulled and one before, and shows both times in bars',
    async () => {
      const directory = ownTemporaryDirectory();
      const here = terminal();
      // All of it takes 1 s.
      expect(await runLazyDemo(here, { bytes: 16 * MIB, places: 2, bytesPerSecond: 16_000_000 })).toBe(0);
      const lines = here.stdout.text
        .replaceAll(/\d+\.\d s/g, 'TIME')
        .replaceAll(/[=#]+( *)\]/g, 'BAR]')
        .split('\n');
      expect(lines.filter((line) => !line.includes('emulated'))).toStrictEqual([
        expect.stringMatching(/^1\. a registry listens on 127\.0\.0\.1:\d+, behind a network of 16\.0 MB\/s$/),
        '2. pushed an image of 17 MB, of which its guest reads 1 MB here and there',
        '3. pulled it, and made a VM of it: TIME',
        '4. started the VM: its guest was ready after TIME',
        '5. started a VM before the image was here: its guest was ready after TIME',
        '',
        expect.stringMatching(/^pull, then run {2}\[BAR\] +TIME$/),
        expect.stringMatching(/^lazy {12}\[BAR\] +TIME$/),
        '                 = the image arrives   # the guest starts',
        '',
        expect.stringMatching(
          /^done: the guest was ready in \d\.\d\d of the time, and every byte that it read was verified$/,
        ),
        '',
      ]);
      expect(leftIn(directory)).toStrictEqual([]);
    },
    LONG_MS,
  );

  it.each([
    ['while the image is pulled', '2. ', '.'],
    ['before a guest has started', '3. ', '.'],
    ['while a guest starts', '3. ', 'whole/vms/demo/run.json'],
  ])(
    'leaves nothing behind when it is interrupted %s',
    async (_, lineBefore, fileBefore) => {
      const directory = ownTemporaryDirectory();
      const stop = new AbortController();
      const here = terminal({ signal: stop.signal });
      const running = runLazyDemo(here, { bytes: 16 * MIB, places: 2, bytesPerSecond: 80_000_000 });
      running.catch(() => undefined);
      const isThere = (): boolean =>
        here.stdout.text.includes(lineBefore) &&
        existsSync(`${directory}/${leftIn(directory).join('/')}/${fileBefore}`);
      await vi.waitUntil(isThere, LONG_MS);
      stop.abort(new Error('enough'));
      await expect(running).rejects.toThrow('enough');
      expect(leftIn(directory)).toStrictEqual([]);
    },
    LONG_MS,
  );
});

it('says what to install where there is no QEMU, and that it needs Linux', async () => {
  const directory = ownTemporaryDirectory();
  const workplace = new Workplace(cleanup, { isFresh: true });
  const without = Object.assign(Object.create(workplace) as Workplace, {
    environment: { ...workplace.environment, PATH: '' },
  });
  const { exitCode, stderr } = await runHere(without, ['demo', '--lazy']);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('this machine cannot run amd64 guests: qemu-system-x86_64 is not installed');
  expect(stderr).toContain('next: install qemu-system-x86');
  await expect(runLazyDemo(terminal({ platform: 'darwin' }))).rejects.toMatchObject({ code: 'USAGE' });
  expect(leftIn(directory)).toStrictEqual([]);
});
