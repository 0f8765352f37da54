import { createHash, randomBytes } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runWithInput } from '../support/command-input.ts';
import { plantGuest } from '../support/guest.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

/** Emulated, and on a busy machine. */
const BOOTED_WITHIN_S = '300';
const LONG_MS = 400_000;

describeWithParts('a VM that runs on Linux', ['qemu-system-x86_64', 'ovmf', 'mformat', 'depmod'], () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;
  let run: Running;

  beforeAll(() => {
    workplace = new Workplace(cleanup);
    plantGuest(workplace.vmDirectory('ci'));
  }, LONG_MS);
  afterAll(async () => cleanup.run());

  /** What fails leaves nothing running. */
  function begin(running: Running): void {
    run = running;
    cleanup.add(async () => {
      running.kill('SIGKILL');
      await running.ended.catch(() => undefined);
    });
  }

  async function untilRunning(): Promise<void> {
    while (!(await workplace.run('list')).stdout.includes('running')) {
      if (run.child.exitCode !== null) throw new Error(`run ended: ${run.stdout}${run.stderr}`);
      await delay(50);
    }
  }

  async function boot(): Promise<string> {
    begin(workplace.start('run', 'ci', '--no-graphics'));
    const { exitCode, stdout, stderr } = await workplace.run('ip', 'ci', '--wait', BOOTED_WITHIN_S);
    expect({ exitCode, stderr }, run.stderr).toEqual({ exitCode: 0, stderr: '' });
    return stdout;
  }

  /** By `control.sock`, which `run` serves, and by QEMU's socket where that is not there. */
  async function provesBothWaysToQemusAgent(): Promise<void> {
    const control = `${workplace.vmDirectory('ci')}/control.sock`;
    const bytes = randomBytes(100_003);
    for (const way of ['by control.sock', 'directly']) {
      if (way === 'directly') renameSync(control, `${workplace.directory}/away`);
      const read = await runWithInput(workplace, bytes, ['exec', '-i', 'ci', 'md5sum']);
      expect([way, read]).toEqual([
        way,
        { exitCode: 0, stdout: `${createHash('md5').update(bytes).digest('hex')}  -\n`, stderr: '' },
      ]);
      expect(await workplace.run('exec', '-t', 'ci', 'sh')).toEqual({
        exitCode: 1,
        stdout: '',
        stderr: expect.stringContaining("QEMU's guest agent gives commands no terminal"),
      });
      // M15: never the one that all guests have.
      const { stdout } = await workplace.run('ip', '--resolver', 'agent', 'ci');
      expect(stdout).toBe((await workplace.run('ip', 'ci')).stdout);
    }
    renameSync(`${workplace.directory}/away`, control);
  }

  it(
    'has an address of its own that answers, runs commands, and stops when it is told to',
    async () => {
      expect(await boot()).toMatch(/^127\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.\d+\.\d+\n$/);
      expect(await workplace.run('exec', 'ci', 'sh', '-c', 'echo out; echo err >&2; exit 7')).toEqual({
        exitCode: 7,
        stdout: 'out\n',
        stderr: 'err\n',
      });
      await provesBothWaysToQemusAgent();
      const long = workplace.run('exec', 'ci', 'sh', '-c', 'sleep 5; echo over');
      expect(await workplace.run('exec', 'ci', 'echo', 'meanwhile')).toMatchObject({ stdout: 'meanwhile\n' });
      expect(await long).toEqual({ exitCode: 0, stdout: 'over\n', stderr: '' });
      expect(await workplace.run('run', 'ci')).toMatchObject({ exitCode: 2, stdout: '' });
      expect(await workplace.run('delete', 'ci')).toMatchObject({ exitCode: 2 });
      expect(await workplace.run('exec', 'ci', 'sh', '-c', 'echo kept >/data/file && sync')).toMatchObject({
        exitCode: 0,
      });
      expect(await workplace.run('stop', 'ci', '--timeout', '60')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
      expect(await run.ended).toMatchObject({
        exitCode: 0,
        stdout: 'Stopping VM...\nguest has stopped the virtual machine\n',
      });
      expect((await workplace.run('get', 'ci', '--format', 'json')).stdout).toContain('"State": "stopped"');
      expect(readdirSync(workplace.vmDirectory('ci')).toSorted()).toEqual([
        '.last-used',
        'config.json',
        'disk.img',
        'nvram.bin',
        'serial.log',
      ]);
      expect(readFileSync(`${workplace.vmDirectory('ci')}/serial.log`, 'utf8')).toContain('guest: ready');
    },
    LONG_MS,
  );

  it(
    'goes on from where it was suspended, and the guest says when it is over',
    async () => {
      await boot();
      expect(await workplace.run('exec', 'ci', 'cat', '/data/file')).toMatchObject({ stdout: 'kept\n' });
      await workplace.run('exec', 'ci', 'sh', '-c', 'echo in-memory >/tmp/file');
      expect(await workplace.run('suspend', 'ci')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
      expect(await run.ended).toMatchObject({ exitCode: 0, stdout: 'Suspending VM...\n' });
      expect((await workplace.run('list')).stdout).toContain('suspended');

      await boot();
      expect(await workplace.run('exec', 'ci', 'cat', '/tmp/file')).toMatchObject({ stdout: 'in-memory\n' });
      // Never again from there, whatever becomes of this run.
      expect(readdirSync(workplace.vmDirectory('ci')).filter((name) => name.startsWith('state.'))).toEqual([]);
      expect(readFileSync(`${workplace.vmDirectory('ci')}/serial.log.1`, 'utf8')).toContain('guest: ready');
      expect(statSync(`${workplace.vmDirectory('ci')}/qmp.sock`).mode & 0o077).toBe(0);
      await workplace.run('exec', 'ci', 'sh', '-c', 'sync; umount /data; poweroff -f &');
      expect(await run.ended).toMatchObject({ exitCode: 0, stdout: 'guest has stopped the virtual machine\n' });
    },
    LONG_MS,
  );

  it(
    'does not go on when its disk was written since, and begins anew once the memory is dropped',
    async () => {
      await boot();
      await workplace.run('suspend', 'ci');
      await run.ended;
      utimesSync(`${workplace.vmDirectory('ci')}/disk.img`, 1, 1);
      expect(await workplace.run('run', 'ci')).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining('its disk was written since'),
      });
      expect(await workplace.run('stop', 'ci')).toMatchObject({ exitCode: 0 });
      expect((await workplace.run('list')).stdout).toContain('stopped');
    },
    LONG_MS,
  );

  it(
    'leaves no QEMU behind when it is killed, and can be started at once',
    async () => {
      // The second time where nothing lets a program die with another.
      const bare = `${workplace.directory}/bare`;
      mkdirSync(bare);
      symlinkSync('/usr/bin/qemu-system-x86_64', `${bare}/qemu-system-x86_64`);
      for (const PATH of [workplace.environment['PATH'] ?? '', bare]) {
        begin(new Running(process.execPath, [COMMAND, 'run', 'ci'], { ...workplace.environment, PATH }));
        await untilRunning();
        // From here on there is a QEMU that could be left: the first, or the one after it where KVM does not work.
        while (programsIn(workplace.vmDirectory('ci')).length === 0) await delay(20);
        run.kill('SIGKILL');
        await run.ended;
        // The lock is QEMU's, too: the VM counts as running until the last of it has gone.
        while (!(await workplace.run('list')).stdout.includes('stopped')) await delay(20);
        expect(programsIn(workplace.vmDirectory('ci'))).toEqual([]);
      }
    },
    LONG_MS,
  );

  it(
    'ends at once when it is told twice, and with 0 when that comes before it has started',
    async () => {
      begin(workplace.start('run', 'ci'));
      await untilRunning();
      run.kill('SIGINT');
      run.kill('SIGTERM');
      expect(await run.ended).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^Stopping VM\.\.\.\n/) });
    },
    LONG_MS,
  );

  it(
    'is stopped as soon as it counts as running, closes its disks before it would be killed, and needs no reader',
    async () => {
      begin(workplace.start('run', 'ci'));
      run.child.stdout?.destroy();
      await untilRunning();
      expect(await workplace.run('stop', 'ci', '--timeout', '4')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
      // Killed, it would have no exit code.
      expect(await run.ended).toMatchObject({ exitCode: 0 });
      expect(programsIn(workplace.vmDirectory('ci'))).toEqual([]);
    },
    LONG_MS,
  );

  it.each([
    ['with isolation that is not there', ['--net-softnet'], 64, /Softnet isolates guests on macOS only/],
    ['of a Mac', ['--recovery'], 64, /--recovery is for guests or windows of macOS/],
    ['on two networks', ['--net-host', '--net-bridged', 'br0'], 64, /exclude each other/],
    ['with port 0 of the guest', ['--publish', '80:0'], 64, /does not say which ports/],
    ['on a bridge that is not there', ['--net-bridged=list'], 64, /there is no bridge "list": /],
    [
      'with an address of another machine',
      ['--publish', '192.0.2.1:0:80'],
      1,
      /this machine has no address 192\.0\.2\.1/,
    ],
    ['with an address that is none', ['--publish', '999.0.0.1:80:80'], 64, /does not say which ports/],
    ['with a disk that is not there', ['--disk', '/nowhere.img'], 1, /there is no disk at \/nowhere\.img/],
  ])('is refused %s', async (_, flags, exitCode, reason) => {
    const ran = await workplace.run('run', 'ci', ...flags);
    expect(ran).toMatchObject({ exitCode, stdout: '', stderr: expect.stringMatching(reason) });
  });

  it('says first that a published port is taken, and blames nothing else', async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
    });
    const { exitCode, stderr } = await workplace.run('run', 'ci', '--publish', `${port}:80`);
    server.close();
    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(
        new RegExp(`^error\\[GUEST_FAILED\\]: tcp port ${port} of 127\\.0\\.0\\.1 is taken`),
      ),
    });
    expect(stderr).not.toContain('KVM');
    expect((await workplace.run('list')).stdout).toContain('stopped');
  });

  it('names the packages where there is no QEMU, and the other machine for guests of another kind', async () => {
    const bare = new Workplace(cleanup);
    plantGuest(bare.vmDirectory('ci'));
    const noQemu = await bare.shell('PATH=/nowhere $TARTLET run ci; echo "exit $?"');
    expect(noQemu.stdout + noQemu.stderr).toMatch(/^exit 1\n[\s\S]*qemu-system-x86 and ovmf \(Debian, Ubuntu\)/);
    const config = `${bare.vmDirectory('ci')}/config.json`;
    writeFileSync(config, readFileSync(config, 'utf8').replace('"amd64"', '"arm64"'));
    expect(await bare.run('run', 'ci')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('made for arm64'),
    });
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
