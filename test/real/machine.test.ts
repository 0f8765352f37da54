import { readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { digestOf, plantVm } from '../support/home.ts';
import { needsOwnMounts, runWithOwnMounts } from '../support/own-mounts.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { runVm } from '../support/running-vm.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

function workplace(...vms: string[]): Workplace {
  const place = new Workplace(cleanup);
  for (const vm of vms) plantVm(place.vmDirectory(vm));
  return place;
}

const SILENT = { exitCode: 0, stdout: '', stderr: '' };

function configOf(place: Workplace, vm: string): Record<string, unknown> {
  return JSON.parse(readFileSync(`${place.vmDirectory(vm)}/config.json`, 'utf8')) as Record<string, unknown>;
}

describe('set, as the programs that drive Tart call it', () => {
  it('takes each vector silently and with exit code 0', async () => {
    const place = workplace('vm');
    for (const words of [
      ['--memory', '8192', 'vm'],
      ['--cpu', '6', 'vm'],
      ['--disk-size', '20', 'vm'],
      ['--disk-size', '20', 'vm'],
      ['--random-mac', 'vm'],
      ['--random-serial', 'vm'],
      ['vm', '--cpu', '2', '--memory=4096', '--display', '1920x1080'],
      ['vm'],
    ]) {
      expect(await place.run('set', ...words), words.join(' ')).toEqual(SILENT);
    }
    expect(configOf(place, 'vm')).toMatchObject({
      cpuCount: 2,
      memorySize: 4_294_967_296,
      display: { width: 1920, height: 1080 },
    });
    expect(statSync(`${place.vmDirectory('vm')}/disk.img`).size).toBe(20_000_000_000);
  });

  it('lets the last of two equal options win, in both forms', async () => {
    const place = workplace('vm');
    expect(await place.run('set', '--cpu=2', 'vm', '--display-refit', '--cpu', '3', '--no-display-refit')).toEqual(
      SILENT,
    );
    expect(configOf(place, 'vm')).toMatchObject({ cpuCount: 3, displayRefit: false });
  });

  it.each([
    [['--display', 'large', 'vm'], 64],
    [['--display', '', 'vm'], 64],
    [['--cpu', '1.5', 'vm'], 64],
    [['--cpu', '70000', 'vm'], 64],
    [['--memory', '99999999999999999999', 'vm'], 64],
    [['--cp', '4', 'vm'], 64],
    [['--disk-size', '0', 'vm'], 64],
    [['vm', 'other'], 64],
    [[], 64],
    [['--cpu', '4', 'missing'], 2],
    [['--cpu', '0', 'vm'], 1],
    [['--cpu', '4', '--disk', 'missing.img', 'vm'], 1],
  ])('refuses %j with exit code %i and changes nothing', async (words, exitCode) => {
    const place = workplace('vm');
    const before = place.snapshot();
    const { stderr, ...ran } = await place.run('set', ...words);
    const showsUsage = stderr.includes('Usage: tartlet set [options] <name>');
    expect({ ...ran, showsUsage }, stderr).toEqual({ exitCode, stdout: '', showsUsage: exitCode === 64 });
    expect(place.snapshot().filter((entry) => !/^(\.lock|cache|tmp) /.test(entry))).toEqual(before);
  });
});

describe('prune', () => {
  const repository = 'registry.corp%3A8221/macos/base';

  function plantImages(place: Workplace): string {
    const parent = `${place.home}/cache/OCIs/${repository}`;
    for (const [digit, days] of [
      ['a', 30],
      ['b', 1],
    ] as const) {
      const directory = `${parent}/${digestOf(digit)}`;
      plantVm(directory);
      symlinkSync(directory, `${parent}/${digit}`);
      const date = new Date(Date.now() - days * 24 * 3600 * 1000);
      utimesSync(directory, date, date);
    }
    return parent;
  }

  it('shows what would go and why, and then does it and says so on stderr', async () => {
    const place = workplace();
    const parent = plantImages(place);
    const asked = await place.run('prune', '--older-than', '7', '--dry-run', '--format', 'json');
    expect(asked).toMatchObject({ exitCode: 0, stderr: '' });
    const report = JSON.parse(asked.stdout);
    expect(report).toMatchObject({
      schema: 'tartlet.prune/v1',
      dryRun: true,
      entries: [
        {
          kind: 'image',
          name: `registry.corp:8221/macos/base@${digestOf('a')}`,
          tags: ['registry.corp:8221/macos/base:a'],
          reason: 'age',
        },
      ],
      danglingTags: [],
      skipped: [],
    });
    expect(Number.isInteger(report.bytes) && report.bytes > 0 && report.bytes === report.entries[0].bytes).toBe(true);
    expect((await place.run('prune', '--older-than', '7', '--dry-run')).stdout).toMatch(
      /^would delete registry\.corp:8221\/macos\/base:a\n {2}last used 30 days ago, \d+\.\d KB allocated, all of it would be freed\n1 in all: \d+\.\d KB would be freed\n$/,
    );
    expect(readdirSync(parent)).toHaveLength(4);

    const done = await place.run('prune', '--older-than', '7');
    expect(done).toMatchObject({ exitCode: 0, stdout: '' });
    expect(done.stderr).toMatch(
      /^deleted registry\.corp:8221\/macos\/base:a\n {2}last used 30 days ago, \d+\.\d KB allocated, all of it freed\n1 in all: \d+\.\d KB freed\n$/,
    );
    expect(readdirSync(parent)).toEqual(['b', digestOf('b')]);
    expect(await place.run('fqn', 'registry.corp:8221/macos/base:a')).toMatchObject({ exitCode: 1, stdout: '' });
    expect(await place.run('prune', '--space-budget=0')).toMatchObject({ exitCode: 0, stdout: '' });
    // Directories with nothing in them go with the last image.
    expect(readdirSync(`${place.home}/cache/OCIs/registry.corp%3A8221`)).toEqual([]);
  });

  it.each([
    [[]],
    [['--entries', 'images', '--older-than', '0', '--gc']],
    [['--space-budget', '1', '--cache-budget', '1']],
    [['--older-than', '-1']],
    [['--older-than', '1', 'vm']],
    [['--free-space', '1', '--entries', 'vms']],
  ])('refuses %j with exit code 64, and deletes nothing', async (words) => {
    const place = workplace();
    const parent = plantImages(place);
    symlinkSync(`${parent}/${digestOf('d')}`, `${parent}/dangling`);
    const { exitCode, stdout, stderr } = await place.run('prune', ...words);
    expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: '' });
    expect(stderr).toContain('Usage: tartlet prune [options]');
    expect(readdirSync(parent)).toHaveLength(5);
  });

  it('takes the old name of the budget, and says so', async () => {
    const place = workplace();
    plantImages(place);
    const { stderr, ...ran } = await place.run('prune', '--cache-budget', '0');
    expect(ran).toEqual({ exitCode: 0, stdout: '' });
    expect(stderr).toMatch(/^note: --cache-budget is the old name of --space-budget\ndeleted registry/);
    // Directories with nothing in them go with the last image.
    expect(readdirSync(`${place.home}/cache/OCIs/registry.corp%3A8221`)).toEqual([]);
  });

  it.runIf(process.platform === 'linux')('says what it skips', async () => {
    const place = workplace();
    const parent = plantImages(place);
    await runVm(`${parent}/${digestOf('a')}`);
    const { exitCode, stderr } = await place.run('prune', '--older-than', '0');
    expect(exitCode).toBe(0);
    expect(stderr).toContain(
      `note: skipped, because registry.corp:8221/macos/base@${digestOf('a')} is being used by another command\n`,
    );
    expect(readdirSync(parent)).toEqual(['a', digestOf('a')]);
  });

  /** Full in both ways: no byte and no further file. */
  it('works on a full disk (D29)', async (context) => {
    needsOwnMounts(context);
    const { stdout } = await runWithOwnMounts(
      new Workplace(cleanup),
      `exec 2>&1
set -e
mount -t tmpfs -o size=256k,nr_inodes=16 tmpfs $TART_HOME
parent=$TART_HOME/cache/OCIs/registry.corp%3A8221/base
mkdir -p $parent/${digestOf('a')}
for file in config.json nvram.bin disk.img; do echo x > $parent/${digestOf('a')}/$file; done
ln -s $parent/${digestOf('a')} $parent/1
while echo > $TART_HOME/filler$((n += 1)); do :; done 2>/dev/null
head -c 1m /dev/zero > $TART_HOME/filler1 || true
$TARTLET prune --space-budget 0; echo "exit $?"
ls $TART_HOME/cache/OCIs/*
`,
    );
    expect(stdout).toMatch(
      /No space left on device\ndeleted registry\.corp:8221\/base:1\n.*\n1 in all: .* freed\nexit 0\n$/,
    );
  });
});

describe('commands for running VMs', () => {
  it.each([
    [['run', 'missing'], 2],
    [['ip', 'missing'], 2],
    [['exec', 'missing', 'ls'], 2],
    [['suspend', 'missing'], 2],
    [['stop', 'missing'], 2],
    [['run', 'vm'], 1],
    [['ip', '--wait', '1', '--resolver', 'agent', 'vm'], 1],
    [['ip', 'vm', '--wait', '1'], 1],
    [['exec', '-it', 'vm', 'ls', '--help', '--', '--cpu'], 2],
    [['suspend', 'vm'], 2],
    [['stop', 'vm'], 2],
    [['stop', '--timeout', '5', 'vm'], 2],
    [['ip', '--resolver', 'dns', 'vm'], 64],
    [['exec', 'vm'], 64],
    [['stop', '-t', 'soon', 'vm'], 64],
    [['run', 'vm', '--wait'], 64],
  ])('%j ends with %i and says why on stderr', async (words, exitCode) => {
    const { stderr, ...ran } = await workplace('vm').run(...words);
    expect(ran, stderr).toEqual({ exitCode, stdout: '' });
    expect(stderr).toMatch(/^error\[(USAGE|HOST_LACKS|GUEST_UNREACHABLE|VM_NOT_FOUND|VM_NOT_RUNNING)\]: /);
  });

  it('run knows every option that Orchard, Packer and GitLab give it, and says which is for a Mac', async () => {
    const words =
      'run --net-softnet --net-softnet-allow 10.0.0.0/8 --net-softnet-block 0.0.0.0/0 --net-bridged=en0 --nested ' +
      '--suspendable --dir=a:/tmp:ro --dir /b:tag=t --vnc-experimental --recovery --rosetta=r --disk=x.iso:ro --root-disk-opts sync=none vm ' +
      '--graphics --net-softnet-expose 2222:22 --net-host --serial --capture-system-keys';
    const { stderr } = await workplace('vm').run(...words.split(' '));
    expect(stderr).toMatch(/^error\[USAGE\]: --recovery is for guests or windows of macOS/);
  });

  it.runIf(process.platform === 'linux')('stop and then delete always works, and a second run is refused', async () => {
    const place = workplace('vm');
    await runVm(place.vmDirectory('vm'), 'ignores');
    expect(await place.run('run', 'vm')).toMatchObject({ exitCode: 2 });
    for (const command of ['ip', 'suspend']) {
      expect(await place.run(command, 'vm')).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/is run by another program.*\nnext: ask the program that runs it/),
      });
    }
    expect(await place.run('exec', 'vm', 'true')).toMatchObject({ exitCode: 1 });
    expect(await place.run('stop', 'vm', '--timeout', '0')).toEqual(SILENT);
    expect(await place.run('delete', 'vm')).toMatchObject({ exitCode: 0, stdout: '' });
    expect(await place.run('stop', 'vm')).toMatchObject({ exitCode: 2 });
  });

  it('stop drops the saved state of a suspended VM', async () => {
    const place = workplace('vm');
    writeFileSync(`${place.vmDirectory('vm')}/state.vzvmsave`, 'memory');
    expect(await place.run('stop', 'vm')).toEqual(SILENT);
    expect(readdirSync(place.vmDirectory('vm')).sort()).toEqual(['.last-used', 'config.json', 'disk.img', 'nvram.bin']);
  });
});

describe('what every command line has', () => {
  it.each([[[]], [['--help']], [['-h']], [['help']], [['help', '--help']], [['--help-hidden']]])(
    '%j prints the commands',
    async (words) => {
      const { exitCode, stdout, stderr } = await workplace().run(...words);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      expect(stdout).toMatch(/^Usage: tartlet /);
      for (const command of ['clone', 'set', 'prune', 'run', 'stop', 'suspend', 'ip', 'exec']) {
        expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
      }
    },
  );

  it('help of a command hides what Tart hides, unless asked', async () => {
    const place = workplace();
    const [help, short, word, hidden] = await Promise.all([
      place.run('prune', '--help'),
      place.run('prune', '-h'),
      place.run('help', 'prune'),
      place.run('prune', '--help-hidden'),
    ]);
    expect(help.stdout).toMatch(/^Usage: tartlet prune /);
    expect(help.stdout).not.toMatch(/--cache-budget|--help-hidden/);
    expect([short.stdout, word.stdout]).toEqual([help.stdout, help.stdout]);
    for (const option of ['--cache-budget <gib>', '--space-budget <gib>']) expect(hidden.stdout).toContain(option);
    for (const ran of [help, short, word, hidden]) expect(ran).toMatchObject({ exitCode: 0, stderr: '' });
    expect((await place.run('--help-hidden')).stdout).not.toContain('__complete');
  });

  it('a misspelt command or option gets a hint', async () => {
    const place = workplace('vm');
    for (const [words, hint] of [
      [['renam'], 'rename'],
      [['set', '--memry', '4', 'vm'], '--memory'],
    ] as const) {
      const { exitCode, stdout, stderr } = await place.run(...words);
      expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: '' });
      expect(stderr).toMatch(/^error\[USAGE\]: unknown /);
      expect(stderr).toContain(`next: did you mean ${hint}?`);
    }
  });

  it.each(['bash', 'zsh', 'fish'])('gives the completion script for %s, as Tart is asked for it', async (shell) => {
    const place = workplace();
    const ours = await place.run('completion', shell);
    expect(ours.stdout).toContain(`${shell} completion for tartlet`);
    expect(await place.run('--generate-completion-script', shell)).toEqual(ours);
    expect(await place.run(`--generate-completion-script=${shell}`)).toEqual(ours);
    expect(await place.shell(`SHELL=/bin/${shell} $TARTLET --generate-completion-script`)).toEqual(ours);
  });

  it('refuses a completion script for another shell', async () => {
    expect(await workplace().run('--generate-completion-script', 'tcsh')).toMatchObject({ exitCode: 64, stdout: '' });
  });

  it('-- ends the options', async () => {
    const { exitCode, stderr } = await workplace().run('get', '--', '--cpu');
    expect(exitCode).toBe(2);
    expect(stderr).toContain('"--cpu" does not exist');
  });
});
