import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordUse } from '../../src/home/last-use.ts';
import { runOnTerminal } from '../support/command-input.ts';
import { digestOf, plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { digestsOfVm, Workplace } from '../support/real-command.ts';
import { Gate } from '../support/real-gate.ts';
import { eventually } from '../support/real-process.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { diskChunksOf, pushInChunks } from '../support/real-seed.ts';
import { createVm, fillDisk } from '../support/real-vm.ts';
import { runVm } from '../support/running-vm.ts';
import { TartInPath } from '../support/tart-in-path.ts';

/*
 * Known defects of Tart (tart-cli §7) that we must not have, each by its number, with the command under the name
 * `tart`. Those that other tests prove on their way have their number in the titles there; docs/guide/compatibility.md
 * lists all, and compatibility.test.ts holds it to that.
 */

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const MIB = 1024 * 1024;

describe('pulling', () => {
  let registry: RealRegistry;
  let gate: Gate;
  let sender: Workplace;

  beforeAll(async () => {
    registry = await startRealRegistry(cleanup, 'embedded');
    gate = await Gate.start(cleanup, registry.port);
    sender = new Workplace(cleanup);
    for (const [vm, seed] of [
      ['old', 3],
      ['new', 4],
    ] as const) {
      await createVm(sender, vm);
      fillDisk(sender, vm, 4, seed);
      await pushInChunks(sender, vm, `127.0.0.1:${registry.port}/team/${vm}:1`, MIB);
    }
  });

  /** Starts a pull of `team/<name>:1` that hangs in its last chunk, behind the gate. */
  async function hangingPull(user: TartInPath, name: string) {
    const last = (await diskChunksOf(registry.port, `team/${name}`, '1')).at(-1);
    gate.treat = (request) => (request.endsWith(`/blobs/${last}`) ? { kind: 'stall', bytes: 1000 } : { kind: 'pass' });
    const before = gate.stalled.length;
    const pull = user.startTart('pull', '--concurrency', '1', `127.0.0.1:${gate.port}/team/${name}:1`);
    await eventually('the pull hangs in its last chunk', () => gate.stalled.length > before);
    return pull;
  }

  it('a tag that moves while a pull of it is interrupted never gives a mix of two images (tart-cli §7 #3)', async () => {
    const user = new TartInPath(cleanup);
    const tag = `127.0.0.1:${gate.port}/team/moving:1`;
    await pushInChunks(sender, 'old', `127.0.0.1:${registry.port}/team/moving:1`, MIB);
    const pull = await hangingPull(user, 'moving');
    pull.kill('SIGKILL');
    await pull.ended;
    gate.treat = () => ({ kind: 'pass' });
    await pushInChunks(sender, 'new', `127.0.0.1:${registry.port}/team/moving:1`, MIB);

    await user.succeed('pull', tag);
    await user.succeed('clone', tag, 'vm');
    expect(await digestsOfVm(user.vmDirectory('vm'))).toEqual(await digestsOfVm(sender.vmDirectory('new')));
  });

  it('other commands leave what an interrupted pull has kept (tart-cli §7 #14)', async () => {
    const user = new TartInPath(cleanup);
    const pull = await hangingPull(user, 'old');
    pull.kill('SIGINT');
    expect((await pull.ended).exitCode).toBe(130);
    gate.treat = () => ({ kind: 'pass' });
    for (const words of [['list'], ['create', '--linux', 'other'], ['prune', '--gc'], ['delete', 'other']])
      await user.succeed(...words);

    gate.requests.length = 0;
    await user.succeed('pull', `127.0.0.1:${gate.port}/team/old:1`);
    const chunks = await diskChunksOf(registry.port, 'team/old', '1');
    expect(chunks.filter((digest) => gate.requests.some((request) => request.endsWith(digest)))).toEqual(
      chunks.slice(3),
    );
  });

  it('two images of one registry do not wait for each other (tart-cli §7 #17)', async () => {
    const user = new TartInPath(cleanup);
    const hanging = await hangingPull(user, 'old');
    expect(await user.tart('pull', `127.0.0.1:${gate.port}/team/new:1`)).toMatchObject({ exitCode: 0, stdout: '' });
    hanging.kill('SIGKILL');
    await hanging.ended;
  });

  it('an image that is pulled again counts as used, though nothing was to be done (tart-cli §7 #23)', async () => {
    const user = new TartInPath(cleanup);
    for (const name of ['old', 'new']) await user.succeed('pull', `127.0.0.1:${registry.port}/team/${name}:1`);
    const parent = `${user.home}/cache/OCIs/127.0.0.1%3A${registry.port}/team`;
    for (const name of ['old', 'new'])
      await recordUse(realpathSync(`${parent}/${name}/1`), new Date('2001-09-09T01:46:40Z'));

    await user.succeed('pull', `127.0.0.1:${registry.port}/team/old:1`);
    await user.succeed('prune', '--older-than', '1');
    expect(existsSync(`${parent}/old/1`)).toBe(true);
    expect(existsSync(`${parent}/new/1`)).toBe(false);
  });

  it('an export of an image has no slashes in its name (tart-cli §7 #38)', async () => {
    const user = new TartInPath(cleanup);
    const image = `127.0.0.1:${registry.port}/team/old:1`;
    await user.succeed('pull', image);
    const directory = cleanup.directory();
    expect(await user.shell(`cd ${directory} && $TARTLET export ${image}`)).toMatchObject({ exitCode: 0, stdout: '' });
    expect(readdirSync(directory)).toEqual([`127.0.0.1_${registry.port}_team_old_1.oci.tar`]);
  });

  it('neither a push nor a pull keeps whole chunks in memory (tart-cli §7 #27)', async () => {
    const user = new TartInPath(cleanup);
    await user.succeed('create', '--linux', '--disk-size', '1', 'large');
    const noise = randomBytes(64 * MIB); // Does not compress, and 512 MiB of it are one chunk.
    for (let at = 0; at < 9; at += 1)
      writeFileSync(`${user.vmDirectory('large')}/disk.img`, noise, { flag: at === 0 ? 'w' : 'a' });
    const image = `127.0.0.1:${registry.port}/team/large:1`;
    // Each thread tells when it ends what the whole process took at most, in KiB.
    const watch = `process.on('exit', () => console.error('peak', process.resourceUsage().maxRSS))`;
    for (const words of ['push large', 'pull']) {
      const { exitCode, stderr } = await user.shell(
        `NODE_OPTIONS="--import=data:text/javascript,${encodeURIComponent(watch)}" $TARTLET ${words} ${image}`,
      );
      expect(exitCode, stderr).toBe(0);
      const peaks = Array.from(stderr.matchAll(/^peak ([0-9]+)$/gm), ([, kib]) => Number(kib));
      expect(peaks.length).toBeGreaterThan(0);
      expect(Math.max(...peaks) * 1024, words).toBeLessThan(300_000_000);
    }
  }, 120_000);

  it('a digest that is not cached is not vouched for (tart-cli §7 #47)', async () => {
    const user = new TartInPath(cleanup);
    const { exitCode, stdout } = await user.tart('fqn', `127.0.0.1:${registry.port}/team/old@${digestOf('a')}`);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
  });
});

describe.runIf(process.platform === 'linux')('local VMs', () => {
  it('a VM is locked while it is pushed: no process starts, changes or deletes it meanwhile (tart-cli §7 #7)', async () => {
    const user = new TartInPath(cleanup);
    plantVm(user.vmDirectory('vm'));
    const silent = createServer((socket) => cleanup.add(() => Promise.resolve(void socket.destroy())));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    cleanup.add(() => new Promise<void>((resolve) => silent.close(() => resolve())));
    const push = user.startTart('push', 'vm', `127.0.0.1:${(silent.address() as AddressInfo).port}/team/vm:1`);

    await eventually('the VM is held', async () => (await user.rows())[0]?.['running'] === true);
    expect(await user.tart('run', 'vm')).toMatchObject({ exitCode: 2 });
    expect((await user.tart('delete', 'vm')).exitCode).not.toBe(0);
    expect((await user.tart('set', '--disk-size', '1', 'vm')).exitCode).not.toBe(0);
    push.kill('SIGKILL');
    await push.ended;
    expect((await user.rows())[0]).toMatchObject({ running: false });
  });

  it('a running VM is not cloned while its disk changes (tart-cli §7 #11)', async () => {
    const user = new TartInPath(cleanup);
    plantVm(user.vmDirectory('vm'), Buffer.alloc(MIB, 1));
    await runVm(user.vmDirectory('vm'));
    const { exitCode, stderr } = await user.tart('clone', 'vm', 'copy');
    // Where the file system can do it in one moment, it is a clone.
    const [outcome, says] =
      exitCode === 0
        ? [[0, true], /^note: vm is running: its clone begins as if the power had been cut$/m]
        : [[2, false], /^error\[VM_RUNNING\]: /];
    expect([exitCode, existsSync(user.vmDirectory('copy'))]).toEqual(outcome);
    expect(stderr).toMatch(says);
  });

  it('of two that are renamed to one name at once, one gets it and none is lost (tart-cli §7 #26)', async () => {
    const user = new TartInPath(cleanup);
    plantVm(user.vmDirectory('a'));
    plantVm(user.vmDirectory('b'));
    const codes = await Promise.all(['a', 'b'].map(async (name) => (await user.tart('rename', name, 'c')).exitCode));
    expect(new Set(codes)).toEqual(new Set([0, 64]));
    expect(readdirSync(`${user.home}/vms`)).toHaveLength(2);
  });

  it('one that cannot be deleted does not keep the others (tart-cli §7 #48)', async () => {
    const user = new TartInPath(cleanup);
    for (const name of ['a', 'b', 'busy']) plantVm(user.vmDirectory(name));
    mkdirSync(user.vmDirectory('no-vm'));
    await runVm(user.vmDirectory('busy'));
    const { exitCode, stdout, stderr } = await user.tart('delete', 'a', 'missing', 'busy', 'no-vm', 'b');
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('the VM "missing" does not exist');
    expect(stderr).toContain('the VM "busy" is running');
    expect(stderr).toContain(`${user.vmDirectory('no-vm')} is a directory without config.json`);
    expect(stderr).toContain('the rest was done: a, b deleted');
    expect(readdirSync(`${user.home}/vms`).sort()).toEqual(['busy', 'no-vm']);
  });
});

describe('what lies about in a home', () => {
  it('a configuration that cannot be read breaks neither list nor clone (tart-cli §7 #30)', async () => {
    const user = new TartInPath(cleanup);
    for (const name of ['bad', 'good']) plantVm(user.vmDirectory(name));
    writeFileSync(`${user.vmDirectory('bad')}/config.json`, '{');
    expect(await user.succeed('list', '-q')).toBe('bad\ngood\n');
    await user.succeed('clone', 'good', 'copy');
    await user.succeed('delete', 'bad');
  });

  it('an entry of tmp that cannot be opened is worth no word, on any command (tart-cli §7 #31)', async () => {
    const user = new TartInPath(cleanup);
    mkdirSync(`${user.home}/tmp`);
    symlinkSync('/nowhere', `${user.home}/tmp/a-dangling-link`);
    execFileSync('mkfifo', [`${user.home}/tmp/a-pipe`]);
    for (const words of [
      ['list', '-q'],
      ['create', '--linux', 'vm'],
      ['clone', 'vm', 'copy'],
      ['delete', 'vm'],
    ])
      expect((await user.tart(...words)).stderr).toMatch(/^(note: full copy.*\n|deleted vm: .*\n)?$/);
  });

  it('dangling tags are found behind a linked cache directory, and the others stay (tart-cli §7 #20)', async () => {
    const user = new TartInPath(cleanup);
    await user.succeed('create', '--linux', 'vm'); // Which makes the directory that the symlink leads to.
    const parent = `${user.home}/cache/OCIs/registry.example/base`;
    plantVm(`${parent}/${digestOf('a')}`);
    symlinkSync(`${parent}/${digestOf('a')}`, `${parent}/good`);
    symlinkSync(`${parent}/${digestOf('b')}`, `${parent}/dangling`);
    await user.succeed('prune', '--gc');
    expect(readdirSync(parent).sort()).toEqual(['good', digestOf('a')]);
  });
});

describe('output', () => {
  it('is plain in a pipe, without CI being set (tart-cli §7 #39)', async () => {
    const registry = await startRealRegistry(cleanup, 'embedded');
    const user = new TartInPath(cleanup, {}, { NO_COLOR: '', TERM: 'xterm-256color' });
    const image = `127.0.0.1:${registry.port}/team/vm:1`;
    plantVm(user.vmDirectory('vm'));
    for (const words of [
      ['push', 'vm', image],
      ['pull', image],
      ['list'],
      ['get', 'vm'],
      ['pull', 'no name'],
      ['set'],
      ['--help'],
    ]) {
      const { stdout, stderr } = await user.tart(...words);
      // oxlint-disable-next-line no-control-regex -- escape sequences are what it looks for
      expect(stdout + stderr).not.toMatch(/[\u001b\r]/);
    }
  });

  it('in JSON keeps the order of its keys (tart-cli §7 #40)', async () => {
    const user = new TartInPath(cleanup);
    plantVm(user.vmDirectory('vm'));
    utimesSync(user.vmDirectory('vm'), 1_767_323_045, 1_767_323_045);
    const size = statSync(`${user.vmDirectory('vm')}/config.json`).blocks * 512 * 3;
    expect(await user.succeed('list', '--format', 'json')).toBe(
      `[
  {
    "Source": "local",
    "Name": "vm",
    "Disk": 0,
    "Size": 0,
    "Accessed": "2026-01-02T03:04:05Z",
    "Running": false,
    "State": "stopped"
  }
]
`,
    );
    expect(await user.succeed('get', '--format', 'json', 'vm')).toBe(
      `{
  "OS": "linux",
  "CPU": 4,
  "Memory": 4096,
  "Disk": 0,
  "DiskFormat": "raw",
  "Size": "${(size / 1e9).toFixed(3)}",
  "Display": "1024x768",
  "Running": false,
  "State": "stopped"
}
`,
    );
  });

  it('on a terminal shows what small VMs have, and not 0 (tart-cli §7 #40)', async () => {
    const user = new TartInPath(cleanup);
    plantVm(user.vmDirectory('vm'));
    const { screen } = await runOnTerminal(user, '$TARTLET get vm; $TARTLET list', []);
    expect(screen).toMatch(/^linux +4 +4096 +\d+ B +raw +\d+ KB +1024x768 +stopped/m);
    expect(screen).toMatch(/^local +vm +\d+ B +\d+ KB /m);
  });

  it('in a pipe has plain numbers, as many fields as headings', async () => {
    const user = new TartInPath(cleanup);
    plantVm(user.vmDirectory('vm'));
    truncateSync(`${user.vmDirectory('vm')}/disk.img`, 50_000_000_000);
    const size = ['config.json', 'disk.img', 'nvram.bin'].reduce(
      (sum, file) => sum + statSync(`${user.vmDirectory('vm')}/${file}`).blocks * 512,
      0,
    );
    expect(await user.succeed('get', 'vm')).toBe(
      `OS    CPU Memory Disk DiskFormat Size  Display  State  \nlinux 4   4096   50   raw        ${(size / 1e9).toFixed(3)} 1024x768 stopped\n`,
    );
    utimesSync(user.vmDirectory('vm'), new Date(), new Date(Date.now() - 7_500_000));
    expect(await user.succeed('list')).toMatch(
      /^Source Name Disk Size Accessed +State +\nlocal +vm +50 +0 +\S.* stopped\n$/,
    );
  });

  it.each([
    ['create', '--disk-size <gb>', '10^9 bytes'],
    ['set', '--disk-size <gb>', '10^9 bytes'],
    ['set', '--memory <mib>', '2^20 bytes'],
    ['prune', '--space-budget <gib>', 'GiB'],
    ['push', '--chunk-size <mb>', 'megabytes'],
  ])('help of %s says which unit %s has (tart-cli §7 #55)', async (command, option, unit) => {
    const help = (await new TartInPath(cleanup).succeed(command, '--help')).replaceAll(/\n {6,}/g, ' ');
    expect(help.split('\n').find((line) => line.includes(option))).toContain(unit);
  });
});

describe('numbers', () => {
  it.each([
    [['set', 'vm', '--memory', '18446744073709551616']],
    [['set', 'vm', '--memory', '9007199254740993']],
    [['set', 'vm', '--disk-size', '65536']],
    [['clone', 'vm', 'copy', '--prune-limit', '18446744073709551616']],
    [['prune', '--space-budget', '18446744073709551616']],
  ])('%j is too much, and says so (tart-cli §7 #54)', async (words) => {
    const user = new TartInPath(cleanup);
    plantVm(user.vmDirectory('vm'));
    const before = readFileSync(`${user.vmDirectory('vm')}/config.json`, 'utf8');
    const { exitCode, stdout, stderr } = await user.tart(...words);
    expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 64, stdout: '' });
    expect(stderr).toContain('It must be a whole number from ');
    expect(readFileSync(`${user.vmDirectory('vm')}/config.json`, 'utf8')).toBe(before);
  });
});
