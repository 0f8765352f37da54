import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { plantGuest } from '../support/guest.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, type Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';

/** Emulated, and on a busy machine. */
const BOOTED_WITHIN_S = '300';
const LONG_MS = 400_000;

const PARTS = ['qemu-system-x86_64', 'ovmf', 'mformat', 'depmod', 'unshare'] as const;

describeWithParts('directories and disks of a VM that runs on Linux', PARTS, () => {
  const cleanup = new Cleanup();
  let workplace: Workplace;
  let run: Running;
  let place: string;

  beforeAll(() => {
    workplace = new Workplace(cleanup);
    place = workplace.directory;
    plantGuest(workplace.vmDirectory('ci'));
    for (const name of ['src', 'lib', 'lib/below', 'one']) mkdirSync(`${place}/${name}`);
    writeFileSync(`${place}/src/file`, 'of the host\n');
    writeFileSync(`${place}/lib/file`, 'not to be touched\n');
    writeFileSync(`${place}/debian-12-arm64.iso`, '');
    writeFileSync(`${place}/extra.img`, Buffer.alloc(1024 * 1024, 'x'));
  }, LONG_MS);
  afterAll(async () => cleanup.run());

  async function inGuest(script: string): Promise<Ran> {
    return workplace.run('exec', 'ci', 'sh', '-c', script);
  }

  it(
    'M18: a guest mounts what is shared by its tags, several directories each, and writes as the user who runs it',
    async () => {
      run = workplace.start(
        'run',
        'ci',
        '--no-graphics',
        `--dir=src:${place}/src`,
        '--dir',
        `lib:${place}/lib:ro`,
        '--dir',
        `${place}/one:tag=one`,
        '--disk',
        `${place}/extra.img:ro`,
      );
      const { ended, child } = run;
      cleanup.add(async () => {
        child.kill('SIGKILL');
        await ended.catch(() => undefined);
      });
      expect(await workplace.run('ip', 'ci', '--wait', BOOTED_WITHIN_S), run.stderr).toMatchObject({ exitCode: 0 });
      const said = run.stderr.split('\n').filter((line) => line.includes('mount -t virtiofs'));
      expect(said).toEqual([
        'note: in the guest: mount -t virtiofs com.apple.virtio-fs.automount DIRECTORY',
        'note: in the guest: mount -t virtiofs one DIRECTORY',
      ]);
      expect(
        await inGuest(
          'umask 022; mkdir -p /m/all /m/one && mount -t virtiofs com.apple.virtio-fs.automount /m/all &&' +
            'mount -t virtiofs one /m/one && cat /m/all/src/file /m/all/lib/file && echo of the guest >/m/all/src/new &&' +
            'echo other >/m/one/other && chown 5:5 /m/one/other',
        ),
      ).toEqual({ exitCode: 0, stdout: 'of the host\nnot to be touched\n', stderr: '' });
      expect(readFileSync(`${place}/src/new`, 'utf8')).toBe('of the guest\n');
      expect(statSync(`${place}/one/other`)).toMatchObject({ uid: process.getuid?.(), mode: 0o100644 });
      // Users of the guest as well, not only root of it.
      const asUser = await inGuest(
        'echo me:x:1000:1000:me:/:/bin/sh >>/etc/passwd; su me -c "umask 022; echo mine >/m/one/mine && stat -c %u /m/one/mine"',
      );
      expect(asUser).toEqual({ exitCode: 0, stdout: '1000\n', stderr: '' });
      expect(statSync(`${place}/one/mine`).uid).toBe(process.getuid?.());
    },
    LONG_MS,
  );

  it.each([
    ['a file that is there', 'echo x >/m/all/lib/file', 'Read-only file system'],
    ['a new file', 'echo x >/m/all/lib/below/new', 'Read-only file system'],
    ['the mode of a file', 'chmod 777 /m/all/lib/file', 'Read-only file system'],
    ['the name of a file', 'mv /m/all/lib/file /m/all/lib/f', 'Read-only file system'],
    ['what holds the directories', 'mkdir /m/all/other', 'Read-only file system'],
    ['a disk that is read-only', 'dd if=/dev/zero of=/dev/vdb bs=512 count=1', 'Operation not permitted'],
    ['a device', 'mknod /m/one/device b 8 0', 'Operation not permitted'],
  ])('a guest cannot write %s', async (_, script, reason) => {
    expect(await inGuest(script)).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(reason) });
    expect(readFileSync(`${place}/lib/file`, 'utf8')).toBe('not to be touched\n');
    expect(readdirSync(`${place}/lib/below`)).toEqual([]);
  });

  it('a symlink leads the guest to files of its own, and never out of what is shared', async () => {
    symlinkSync('/etc/hostname', `${place}/one/link`);
    writeFileSync(`${place}/outside`, 'of the host alone\n');
    expect(await inGuest('echo mine >/etc/hostname; cat /m/one/link; ls /m/one/../outside')).toMatchObject({
      exitCode: 1,
      stdout: 'mine\n',
    });
  });

  it('what the host changes is seen by the guest', async () => {
    writeFileSync(`${place}/src/file`, 'changed by the host\n');
    writeFileSync(`${place}/src/later`, 'made later\n');
    const script = 'until grep -q changed /m/all/src/file; do sleep 0.1; done; cat /m/all/src/file /m/all/src/later';
    expect(await inGuest(script)).toMatchObject({ exitCode: 0, stdout: 'changed by the host\nmade later\n' });
  });

  it('a guest with shared directories is not suspended, and told why', async () => {
    expect(await workplace.run('suspend', 'ci')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('what it has open in the directories that are shared with it cannot be saved'),
    });
    run.kill('SIGUSR1');
    while (!run.stderr.includes('not suspended, the guest goes on')) await delay(20);
    expect(await inGuest('echo on')).toMatchObject({ stdout: 'on\n' });
  });

  it(
    'what serves the directories is not in the way when it dies: the guest goes on without them, and is stopped as ever',
    async () => {
      const [server] = serversIn(workplace.vmDirectory('ci'), 'share1.sock');
      process.kill(Number(server), 'SIGKILL');
      const told = 'warning: the directories of the tag one do not answer the guest any more: virtiofsd has ended\n';
      while (!run.stderr.includes(told)) await delay(20);
      expect(await inGuest('cat /m/all/src/later')).toMatchObject({ stdout: 'made later\n' });
      expect(await workplace.run('stop', 'ci', '--timeout', '6')).toMatchObject({ exitCode: 0 });
      expect(await run.ended).toMatchObject({ exitCode: 0 });
      expect(run.stderr.split('virtiofsd has ended')).toHaveLength(2);
      expect(serversIn(workplace.vmDirectory('ci'), 'share')).toEqual([]);
      expect(readdirSync(workplace.vmDirectory('ci')).filter((name) => name.endsWith('.sock'))).toEqual([]);
    },
    LONG_MS,
  );

  it('M4: nothing that serves directories outlives a run that is killed', async () => {
    run = workplace.start('run', 'ci', '--no-graphics', '--dir', `${place}/one:tag=one`);
    while (serversIn(workplace.vmDirectory('ci'), 'share0.sock').length === 0) await delay(20);
    run.kill('SIGKILL');
    await run.ended;
    const before = performance.now();
    while (serversIn(workplace.vmDirectory('ci'), 'share0.sock').length > 0) await delay(20);
    expect(performance.now() - before).toBeLessThan(1000);
  });

  it.each([
    ['a directory that is not there', ['--dir', '/nowhere'], 1, /cannot share \/nowhere/],
    ['a file as a directory', ['--dir', '/etc/passwd'], 1, /\/etc\/passwd is no directory/],
    ['two directories without names', ['--dir', '/tmp', '--dir', '/etc'], 64, /need a name each/],
    ['a tag that is too long', ['--dir', `/tmp:tag=${'t'.repeat(37)}`], 64, /has 37 bytes, and guests read 36/],
    ['directories and the wish to suspend it', ['--dir', '/tmp', '--suspendable'], 64, /cannot be suspended/],
    ['a disc for another architecture', ['--disk', 'ARM64'], 64, /made for arm64, and the VM for amd64/],
    ['an image that is not cached', ['--disk', 'registry.example/a/b:c'], 1, /is not in the cache/],
  ])('is refused with %s', async (_, flags, exitCode, reason) => {
    const ran = await workplace.run(
      'run',
      'ci',
      ...flags.map((flag) => flag.replace('ARM64', `${place}/debian-12-arm64.iso`)),
    );
    expect(ran).toMatchObject({ exitCode, stdout: '', stderr: expect.stringMatching(reason) });
    expect((await workplace.run('list')).stdout).toContain('stopped');
  });

  it('names the packages where nothing serves directories', async () => {
    const bare = `${place}/bare`;
    mkdirSync(bare);
    symlinkSync('/usr/bin/qemu-system-x86_64', `${bare}/qemu-system-x86_64`);
    const { stdout, stderr } = await workplace.shell(`PATH=${bare} $TARTLET run ci --dir /tmp; echo "exit $?"`);
    expect(stdout + stderr).toMatch(
      /exit 1\n[\s\S]*cannot share directories[\s\S]*\(Debian 12, Ubuntu 22\.04\), perl and util-linux/,
    );
  });
});

/** Processes that serve directories of a VM's directory, by the socket in their arguments. */
function serversIn(directory: string, socket: string): string[] {
  const all = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n');
  return all
    .filter((line) => line.includes('virtiofsd') && line.includes(socket) && line.includes(directory))
    .map((line) => line.trim().split(' ')[0] ?? '');
}
