import { readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { calledBy, VETU_COMMANDS } from '../../src/cli/terminal/dialect.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Running } from '../support/real-command.ts';
import { startRealRegistry } from '../support/real-registry.ts';
import { createVm } from '../support/real-vm.ts';
import { TartInPath } from '../support/tart-in-path.ts';

/*
 * What we answer by the name `vetu` (run-fleet-demand §2, §b.1): Vetu's commands, and 1 for whatever goes wrong.
 */

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

describe('called as vetu', () => {
  let user: TartInPath;
  const vetu: TartInPath['tart'] = async (...args) => user.call('vetu', ...args);

  beforeAll(async () => {
    user = new TartInPath(cleanup);
    await createVm(user, 'base', 2);
  });

  function macOf(name: string): string {
    return (JSON.parse(readFileSync(`${user.vmDirectory(name)}/config.json`, 'utf8')) as { macAddress: string })
      .macAddress;
  }

  it('M1: lists as JSON, which Orchard asks of it before anything else', async () => {
    const { exitCode, stdout, stderr } = await vetu('list', '--format', 'json');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject([{ Name: 'base', Source: 'local', State: 'stopped', Running: false }]);
  });

  it('has the commands of Vetu, and shows no others', async () => {
    const { stdout } = await vetu('--help');
    expect(stdout).toMatch(/^Usage: vetu \[options\] \[command\]\n/);
    const commands = [...stdout.matchAll(/^ {2}([a-z]+) {2,}/gm)].map(([, name]) => name);
    expect(commands).toEqual(
      [
        'pull',
        'push',
        'list',
        'fqn',
        'create',
        'clone',
        'delete',
        'set',
        'run',
        'stop',
        'ip',
        'login',
        'logout',
      ].concat(['completion', 'help']),
    );
    expect(new Set(commands)).toEqual(new Set([...VETU_COMMANDS, 'completion', 'help']));
    expect((await vetu('run', '--help')).stdout).toMatch(/^Usage: vetu run [\s\S]*--net-host-mtu[\s\S]*--device/);
  });

  it.each([
    [['get', 'base'], "error[USAGE]: unknown command 'get'."],
    [['suspend', 'base'], "error[USAGE]: unknown command 'suspend'."],
    [['exec', 'base', 'true'], "error[USAGE]: unknown command 'exec'."],
    [['list', '--bogus'], "error[USAGE]: unknown option '--bogus'."],
    [['stop', 'base'], 'error[VM_NOT_RUNNING]: the VM "base" is not running.'],
    [['stop', 'none'], 'error[VM_NOT_FOUND]: the VM "none" does not exist.'],
    [['run', 'none'], 'error[VM_NOT_FOUND]: the VM "none" does not exist.'],
    [['delete', 'none'], 'error[VM_NOT_FOUND]: the VM "none" does not exist.'],
    [
      ['run', 'base', '--device', 'path=/sys/bus/pci/devices/ffff:ff:1f.7/,iommu=on'],
      'error[NOT_FOUND]: this machine has no device at /sys/bus/pci/devices/ffff:ff:1f.7.',
    ],
    [['run', 'base', '--device', 'path=/etc'], 'error[USAGE]: "path=/etc" does not say which device.'],
    [['run', 'base', '--net-softnet'], 'error[USAGE]: Softnet isolates guests on macOS only.'],
    [
      ['create', 'new', '--kernel', 'vmlinuz'],
      "error[USAGE]: --kernel is for VMs of Vetu's own format, and this makes VMs of Tart's.",
    ],
  ])('%j ends with 1, and the reason in its first line', async (words, reason) => {
    const { exitCode, stdout, stderr } = await vetu(...words);
    expect({ exitCode, stdout, reason: stderr.split('\n')[0] }).toEqual({ exitCode: 1, stdout: '', reason });
  });

  it.each<['tart' | 'vetu', string[], string]>([
    ['vetu', ['stop', 'base'], 'next: vetu list shows which VMs run\n'],
    ['vetu', ['list', '--source', 'x/y'], 'vetu list --help'],
    ['vetu', ['clone', '127.0.0.1:1/a/b', 'c', '--pull-never'], 'vetu clone --help'],
    ['tart', ['stop', 'base'], 'next: tart list shows which VMs run\n'],
    ['tart', ['clone', 'none', 'c'], 'next: tart list --source local shows'],
  ])('called as %s, %j names commands as it has them', async (name, words, says) => {
    const { stderr } = await user.call(name, ...words);
    expect(stderr).toContain(says);
    expect(stderr).not.toContain('tartlet');
  });

  it('names a command that Vetu does not have by the name that has it', () => {
    const text = 'tartlet list, tartlet doctor --host, tartlet export, tartlet.example/a';
    expect(calledBy('vetu', text)).toBe('vetu list, tartlet doctor --host, tartlet export, tartlet.example/a');
    expect(calledBy('tart', text)).toBe('tart list, tart doctor --host, tartlet export, tartlet.example/a');
    expect(calledBy('tartlet', text)).toBe(text);
  });

  it('clones with a MAC address of its own, also where no other VM has it', async () => {
    const { port } = await startRealRegistry(cleanup, 'embedded');
    const image = `127.0.0.1:${port}/team/base:latest`;
    await user.succeed('push', 'base', image);
    const mac = macOf('base');
    await user.succeed('delete', 'base');
    await user.succeed('clone', image, 'by-tart');
    expect(macOf('by-tart')).toBe(mac);
    await user.succeed('delete', 'by-tart');
    expect(await vetu('clone', image, 'base')).toMatchObject({ exitCode: 0, stdout: '' });
    expect(macOf('base')).not.toBe(mac);
    expect(macOf('base')).toMatch(/^[0-9a-f][26ae](?::[0-9a-f]{2}){5}$/);
  });

  it('creates VMs of Linux, with what Vetu lets choose', async () => {
    expect(await vetu('create', 'made', '--cpu', '3', '--memory', '768')).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: '',
    });
    expect(JSON.parse(await user.succeed('get', '--format', 'json', 'made'))).toMatchObject({ CPU: 3, Memory: 768 });
  });

  it.each(['bash', 'zsh', 'fish'])(
    'completes itself in %s, by its own name and with its own commands',
    async (shell) => {
      const { stdout } = await vetu('completion', shell);
      expect(stdout).toContain('vetu __complete');
      expect(stdout).not.toContain('tart');
      const words = (await vetu('__complete', '--', '')).stdout.split('\n').map((line) => line.split('\t')[0]);
      expect(words).toContain('run');
      expect(words).not.toContain('suspend');
    },
  );
});

describe('the name that we are called by', () => {
  it.each([
    ['tart', 'tart'],
    ['vetu', 'vetu'],
    ['tartlet', 'tartlet'],
    // What is no name of ours is another way to write Tartlet's.
    ['tartlet-next', 'tartlet-next'],
  ])('is %s through three symlinks in different directories', async (name, shown) => {
    const [a, b, c] = [cleanup.directory(), cleanup.directory(), cleanup.directory()];
    symlinkSync(COMMAND, path.join(a, 'anything'));
    symlinkSync(path.relative(b, path.join(a, 'anything')), path.join(b, 'vetu'));
    symlinkSync(path.join(b, 'vetu'), path.join(c, name));
    const environment = { PATH: `${c}:${path.dirname(process.execPath)}:/usr/bin:/bin`, HOME: a };
    const { exitCode, stdout } = await new Running(name, ['list', '--help'], environment).ended;
    expect({ exitCode, usage: stdout.split('\n')[0] }).toEqual({
      exitCode: 0,
      usage: `Usage: ${shown} list [options]`,
    });
  });
});
