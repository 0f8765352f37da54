import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { addressBy, LONG_MS, PARTS_OF_DRIVERS, publishGuest } from '../../support/driven-vm.ts';
import { GuestShell } from '../../support/guest-shell.ts';
import { Cleanup } from '../../support/real-cleanup.ts';
import { describeWithParts } from '../../support/real-parts.ts';
import { lowerCaseKeys, TartInPath } from '../../support/tart-in-path.ts';

/*
 * What the GitLab executor does in the stages of a job, each a process of its own, word for word and in its order
 * (tart-cli §5.3, run-fleet-demand §5.2).
 */

const ID = 'gitlab-4711';

describeWithParts('the GitLab executor on Linux', PARTS_OF_DRIVERS, () => {
  const cleanup = new Cleanup();
  let image: string;
  let host: TartInPath;
  let shell: GuestShell;
  let log: string;
  let address: string;

  beforeAll(async () => {
    image = await publishGuest(cleanup);
    host = new TartInPath(cleanup, {}, { TART_NO_AUTO_PRUNE: 'true' });
    shell = new GuestShell(cleanup);
    log = `${cleanup.directory()}/vm.log`;
  }, LONG_MS);
  afterAll(async () => cleanup.run());

  /**
   * Starts it as the stage `prepare` does: a session of its own, both streams at the end of a file, and the stage goes.
   */
  async function startAndLeave(...words: readonly string[]): Promise<number> {
    const directory = `${cleanup.directory()}/stage`;
    mkdirSync(directory);
    const script = 'setsid tart "$@" </dev/null >>"$LOG" 2>&1 & echo $!';
    const stage = spawn('bash', ['-c', script, 'stage', ...words], {
      cwd: directory,
      env: { ...host.variables, LOG: log, TMPDIR: directory },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let pid = '';
    stage.stdout.setEncoding('utf8').on('data', (text: string) => (pid += text));
    await once(stage, 'close');
    cleanup.add(() => {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended, as it should.
      }
      return Promise.resolve();
    });
    // What a stage worked in goes with it.
    rmSync(directory, { recursive: true });
    return Number(pid);
  }

  it(
    'M3: prepares a job by a VM that outlives the stage, its directory, its TMPDIR and its terminal',
    async () => {
      await host.succeed('pull', image, '--insecure', '--concurrency', '4');
      await host.succeed('clone', image, ID, '--insecure', '--concurrency', '4');
      await host.succeed('set', '--cpu', '1', ID);
      await host.succeed('set', '--memory', '256', ID);
      await host.succeed('set', '--random-mac', ID);
      await host.succeed('set', '--display', '800x600', ID);
      const pid = await startAndLeave('run', '--root-disk-opts', 'sync=none', '--no-graphics', '--nested', ID);
      address = await addressBy(host, 'tart', '--wait', '60', '--resolver', 'dhcp', ID);
      const [, , , parent, , session] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ');
      expect({ parent, session }).toEqual({
        parent: expect.not.stringMatching(String(process.pid)),
        session: String(pid),
      });
      const got = lowerCaseKeys(
        JSON.parse(await host.succeed('get', '--format', 'json', ID)) as Record<string, unknown>,
      );
      expect(got['os']).toBe('linux');
    },
    LONG_MS,
  );

  it(
    'runs the script of a job, whose log shows nothing else',
    async () => {
      expect(await addressBy(host, 'tart', '--wait', '60', '--resolver', 'dhcp', ID)).toBe(address);
      const { exitCode, stdout } = await shell.login(address, 'set -e\necho "the job"\nfalse\n');
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: expect.stringContaining('the job\n') });
      // Each stage shows this file from its start.
      expect(readFileSync(log, 'utf8')).toBe('');
    },
    LONG_MS,
  );

  it(
    'stops the VM, and deletes it at once',
    async () => {
      await host.succeed('stop', ID);
      await host.succeed('delete', ID);
      expect(readFileSync(log, 'utf8')).toMatch(
        /^Stopping VM\.\.\.\nguest has stopped the virtual machine\n(?:warning: the guest is emulated, .*\n)?$/,
      );
    },
    LONG_MS,
  );
});
