import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { plantGuest } from '../support/guest.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

const LONG_MS = 400_000;

describeWithParts('a VM for one command', ['qemu-system-x86_64', 'ovmf', 'mformat', 'depmod'], () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;

  beforeAll(() => {
    workplace = new Workplace(cleanup);
    plantGuest(workplace.vmDirectory('base'));
  }, LONG_MS);
  afterAll(async () => cleanup.run());

  /** What fails leaves nothing running. */
  function begin(...words: readonly string[]): Running {
    const running = workplace.start('run', '--rm', 'base', ...words);
    cleanup.add(async () => {
      running.kill('SIGKILL');
      await running.ended.catch(() => undefined);
    });
    return running;
  }

  async function cloneThatRuns(): Promise<string> {
    for (;;) {
      const clone = (await workplace.names()).find((name) => name !== 'base');
      if (clone !== undefined && programsIn(workplace.vmDirectory(clone)).length > 0) return clone;
      await delay(50);
    }
  }

  it(
    'gives the command its streams and its words, ends with its exit code, and leaves nothing',
    async () => {
      const script = `echo in | $TARTLET run --rm base -- sh -c 'cat; echo "$1" >&2; exit 7' sh "it's  a \\$word"; echo "exit $?"`;
      const { stdout, stderr } = await workplace.shell(script);
      expect(stdout).toBe('in\nexit 7\n');
      expect(stderr.split('\n').filter((line) => !line.startsWith('warning: the guest is emulated'))).toEqual([
        "it's  a $word",
        '',
      ]);
      expect(await workplace.names()).toEqual(['base']);
    },
    LONG_MS,
  );

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'ends by %s at once, also before the guest is up, and leaves nothing',
    async (signal, exitCode) => {
      const running = begin('--', 'sleep', '1000');
      const clone = await cloneThatRuns();
      expect(clone).toMatch(/^base-[0-9a-f]{8}$/);
      running.kill(signal);
      expect(await running.ended).toMatchObject({ exitCode, stdout: '' });
      expect(await workplace.names()).toEqual(['base']);
      expect(existsSync(workplace.vmDirectory(clone))).toBe(false);
    },
    LONG_MS,
  );

  it(
    'is swept by a later command when its own was killed, and runs to its end without a command',
    async () => {
      const killed = begin();
      const left = await cloneThatRuns();
      // A command that comes meanwhile leaves it alone.
      await workplace.run('prune', '--gc');
      expect(await workplace.names()).toContain(left);
      killed.kill('SIGKILL');
      await killed.ended;
      while (programsIn(workplace.vmDirectory(left)).length > 0) await delay(20);
      expect(await workplace.names()).toContain(left);

      const running = begin('--wait-for', 'tcp:22', '--timeout', '1');
      const { exitCode, stdout, stderr } = await running.ended;
      expect({ exitCode, stdout }, stderr).toEqual({
        exitCode: 4,
        stdout: 'Stopping VM...\nguest has stopped the virtual machine\n',
      });
      expect(stderr).toMatch(
        /^error\[GUEST_LATE\]: the guest of the VM "base-[0-9a-f]{8}" had no port 22 after 1 s: it/m,
      );
      expect(await workplace.names()).toEqual(['base']);
    },
    LONG_MS,
  );

  it('is refused in the background, and a command is refused without it', async () => {
    expect(await workplace.run('run', '--rm', '--detach', 'base')).toMatchObject({ exitCode: 64 });
    expect(await workplace.run('run', 'base', '--', 'ls')).toMatchObject({ exitCode: 64 });
    expect(await workplace.names()).toEqual(['base']);
  });
});

/** Programs that work in a directory. */
function programsIn(directory: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`) === directory;
    } catch {
      return false; // Gone, or dead and not yet buried.
    }
  });
}
