import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { Held } from '../crash/hold.ts';
import { configJson } from '../support/home.ts';
import { leaveOut } from '../support/left-out.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Running, Workplace } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { fakeDigest, json, sha256, tinyImage } from '../support/tart-image.ts';
import { row } from './row.ts';
import { REPOSITORY, World } from './world.ts';

const root = path.resolve(import.meta.dirname, '../..');

row('S2', 'a text is a VM or an image by its slash alone, never by what happens to be there', async (world) => {
  const registry = await world.serve();
  // A directory of the name of the image, where the command runs, and a VM with the name of a registry.
  mkdirSync(`${world.directory}/127.0.0.1:${registry.port}/${REPOSITORY}`, { recursive: true });
  for (const name of ['./mine', '../vms/mine', '/mine', 'mine/', '..', '.']) {
    const { exitCode, stderr } = await world.run('clone', name, 'copy');
    expect({ name, exitCode }).toEqual({ name, exitCode: expect.toSatisfy((code: number) => code !== 0) as number });
    expect(stderr).toMatch(/error\[(?:NAME_MALFORMED|VM_NOT_FOUND|USAGE)\]/);
  }
  expect(registry.requests).toEqual([]);
  expect(await world.run('clone', 'mine', `127.0.0.1:${registry.port}`)).toMatchObject({ exitCode: 0 });
  expect(await world.workplace.names()).toContain(`127.0.0.1:${registry.port}`);
  // What is in this home beyond the row's own is compared afterwards.
  rmSync(world.workplace.vmDirectory(`127.0.0.1:${registry.port}`), { recursive: true });
});

row('S14', 'an address in a descriptor is not asked', async (world) => {
  const trap = await world.registry();
  const image = tinyImage();
  const document = JSON.parse(Buffer.from(image.manifest).toString()) as { layers: { urls?: string[] }[] };
  for (const layer of document.layers) layer.urls = [`${trap.origin}/foreign`, 'http://169.254.169.254/latest'];
  const manifest = json(document);
  const registry = await world.serve({ ...image, manifest, digest: sha256(manifest) });
  await world.pull(registry, { image: { ...image, manifest, digest: sha256(manifest) } });
  expect(trap.requests).toEqual([]);
});

row('S18', 'two registries with one repository and tag do not get at each other', async (world) => {
  const honest = tinyImage({ chunks: [Buffer.alloc(4096, 'honest')] });
  const hostile = tinyImage({ chunks: [Buffer.alloc(4096, 'hostile')] });
  const [first, second] = [await world.serve(honest), await world.serve(hostile)];
  await world.pull(first, { image: honest });
  await world.pull(second, { image: hostile });
  // The second says that it has the first one's image, and sends its own.
  second.on(`GET /v2/${REPOSITORY}/manifests/${honest.digest}`, {
    headers: { 'docker-content-digest': honest.digest },
    body: hostile.manifest,
  });
  const name = `127.0.0.1:${second.port}/${REPOSITORY}@${honest.digest}`;
  const { exitCode, stderr } = await world.run('pull', name);
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: expect.stringContaining('error[DIGEST_MISMATCH]') as string,
  });
  expect(await world.workplace.names()).not.toContain(name);
});

/** Where an interrupted pull of an image left its parts. */
function stagingOf(world: World, digest: string): string {
  return `${world.home.stagingDirectory}/${digest.replace('sha256:', '')}`;
}

row('S25', 'symlinks in scratch that another user prepared lead no writing elsewhere', async (world) => {
  const image = tinyImage();
  const registry = await world.serve(image);
  const staging = stagingOf(world, image.digest);
  mkdirSync(staging, { recursive: true });
  const victim = `${world.directory}/user/outside.txt`;
  for (const file of ['disk.img', 'config.json', 'nvram.bin', 'manifest.json', '.verified', '.origin.json'])
    symlinkSync(victim, `${staging}/${file}`);
  const { status } = await world.pull(registry, { image });
  expect(status).toBe('pulled');
  expect(readFileSync(victim, 'utf8')).toBe('a file that is nobody’s business');
});

row('S25', 'a symlink in the place of a scratch directory is not written through', async (world) => {
  const image = tinyImage();
  const registry = await world.serve(image);
  mkdirSync(world.home.stagingDirectory, { recursive: true });
  symlinkSync(`${world.directory}/user`, stagingOf(world, image.digest));
  await world.pull(registry, { image });
  expect(readdirSync(`${world.directory}/user`)).toEqual(['outside.txt']);
});

row('S25', 'a symlink among the images is no image, and deleting it leaves what it leads to', async (world) => {
  const outside = `${world.directory}/user/images`;
  mkdirSync(outside);
  symlinkSync(outside, `${path.dirname(world.kept.directory)}/${fakeDigest('7')}`);
  expect((await world.run('list')).exitCode).toBe(0);
  await world.run('delete', `kept.example:5000/org/kept@${fakeDigest('7')}`);
  expect((await world.run('prune', '--older-than', '0', '--dry-run')).exitCode).toBe(0);
  expect(existsSync(outside)).toBe(true);
});

row('S60', 'a manifest that is a link to a secret of the user is copied nowhere', async (world) => {
  const secret = `${world.directory}/user/id_ed25519`;
  writeFileSync(secret, 'a private key', { mode: 0o600 });
  const manifest = `${world.kept.directory}/manifest.json`;
  const before = readFileSync(manifest);
  rmSync(manifest);
  symlinkSync(secret, manifest);
  const name = 'kept.example:5000/org/kept:1';
  for (const command of [
    ['clone', name, 'copy'],
    ['export', name, `${world.directory}/run/x.tar`],
  ]) {
    const { exitCode, stderr } = await world.run(...command);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: expect.stringContaining(`${manifest} is not a file`) as string,
    });
  }
  expect(existsSync(world.workplace.vmDirectory('copy'))).toBe(false);
  rmSync(manifest);
  writeFileSync(manifest, before);
  rmSync(secret);
});

describeWithParts('stopped in the middle of a removal', ['strace'], () => {
  row(
    'S61',
    'a directory that is exchanged for a symlink while it is removed leads to nothing outside',
    async (world) => {
      const inner = `${world.home.scratchDirectory}/tartlet-of-a-killed-command/inner`;
      mkdirSync(inner, { recursive: true });
      // It stops when it has removed one of them.
      const names = ['outside.txt', 'second.txt'];
      writeFileSync(`${world.directory}/user/second.txt`, '');
      for (const name of names) writeFileSync(`${inner}/${name}`, '');
      const held = await hold(world, ['clone', 'mine', 'copy'], { call: 'unlink', nth: 1 });
      renameSync(inner, `${world.directory}/run/moved`);
      symlinkSync(`${world.directory}/user`, inner);
      await held.release();
      expect(readdirSync(`${world.directory}/user`)).toEqual(names);
      rmSync(`${world.directory}/user/second.txt`);
      expect(readdirSync(`${world.directory}/run/moved`)).toEqual([]);
      // The next command removes the symlink that was in its way.
      expect(await world.run('clone', 'mine', 'copy')).toMatchObject({ exitCode: 0 });
      rmSync(world.workplace.vmDirectory('copy'), { recursive: true });
    },
  );
});

describeWithParts('stopped when a command has its lock', ['strace'], () => {
  it('a directory that another user exchanges for a symlink then: nothing outside is changed (S75)', async (context) => {
    leaveOut(context, process.geteuid?.() !== 0, 'only root can give a symlink to another user');
    const cleanup = new Cleanup();
    try {
      const world = new World(cleanup);
      const [vms, user, moved] = [world.home.vmsDirectory, `${world.directory}/user`, `${world.directory}/run/moved`];
      const changes = [
        ['rename', 'mine', 'other'],
        ['delete', 'mine'],
        ['clone', 'mine', 'other'],
        ['create', '--linux', '--disk-size', '1', 'other'],
      ];
      cpSync(`${vms}/mine`, `${user}/mine`, { recursive: true });
      const before = readdirSync(user, { recursive: true, encoding: 'utf8' }).sort();
      for (const command of changes) {
        const held = await hold(world, command, { call: 'flock', nth: 1, path: `${world.home.root}/.lock` });
        renameSync(vms, moved);
        symlinkSync(user, vms);
        lchownSync(vms, 12_345, 12_345);
        const { stderr } = await held.release();
        rmSync(vms);
        renameSync(moved, vms);
        expect(stderr, command[0]).toContain('vms is a symlink of another user');
        expect(readdirSync(user, { recursive: true, encoding: 'utf8' }).sort(), command[0]).toEqual(before);
        expect(readdirSync(vms), command[0]).toEqual(['mine']);
      }
    } finally {
      await cleanup.run();
    }
  });
});

/** Starts a command that stands still before a call. */
async function hold(world: World, command: readonly string[], fault: Parameters<typeof Held.start>[1]): Promise<Held> {
  const log = `${world.directory}.strace`;
  world.after(() => rmSync(log, { force: true }));
  const argv = [process.execPath, COMMAND, ...command];
  const held = await Held.start({ argv, environment: world.workplace.environment }, fault, log);
  if (!(held instanceof Held)) throw new Error(`it did not come that far: ${held.stderr}`);
  return held;
}

/** Opening one holds the process that opens it, and the signals that should end it. */
function plantPipe(file: string): void {
  execFileSync('mkfifo', [file]);
}

row('S26', 'a pipe in the place of a file of an image or a VM holds no command', async (world) => {
  const kept = 'kept.example:5000/org/kept:1';
  const vm = world.workplace.vmDirectory('mine');
  const cases = [
    ...['manifest.json', '.origin.json', '.last-used', 'disk.img'].map(
      (file) => [`${world.kept.directory}/${file}`, kept] as const,
    ),
    ...['config.json', '.last-used'].map((file) => [`${vm}/${file}`, 'mine'] as const),
  ];
  for (const [file, name] of cases) {
    const before = existsSync(file) ? readFileSync(file) : undefined;
    rmSync(file, { force: true });
    plantPipe(file);
    const archive = `${world.directory}/run/x.tar`;
    const commands = [['list'], ['inspect', name], ['clone', name, 'copy'], ['export', name, archive]];
    // Each ends by itself, however; a hanging one would be killed, and have no exit code.
    const codes = await Promise.all(commands.map(async (command) => (await world.run(...command)).exitCode));
    expect(codes, file).toEqual(commands.map(() => expect.any(Number) as number));
    rmSync(file);
    if (before !== undefined) writeFileSync(file, before);
    for (const made of [world.workplace.vmDirectory('copy'), archive]) rmSync(made, { recursive: true, force: true });
  }
});

row('S26', 'pipes, devices and directories in the scratch of a pull hold no command', async (world) => {
  const image = tinyImage();
  const registry = await world.serve(image);
  const staging = stagingOf(world, image.digest);
  mkdirSync(`${staging}/nvram.bin`, { recursive: true });
  for (const file of ['disk.img', '.verified']) plantPipe(`${staging}/${file}`);
  symlinkSync('/dev/zero', `${staging}/config.json`);
  expect((await world.pull(registry, { image })).status).toBe('pulled');
});

row('S27', 'what a VM configuration says is never run, nor believed about the host', async (world) => {
  const canary = `${world.directory}/run/canary`;
  const hostile = {
    ...(JSON.parse(configJson()) as object),
    display: { width: 1, height: 1, unit: `$(touch ${canary})` },
    hooks: { start: `touch ${canary}` },
    kernelCommandLine: `\`touch ${canary}\``,
    sharedDirectories: ['/etc'],
    diskPath: '/etc/passwd',
    '; touch': `; touch ${canary}`,
  };
  const image = tinyImage({ config: json(hostile) });
  const registry = await world.serve(image);
  const name = `127.0.0.1:${registry.port}/${REPOSITORY}:latest`;
  expect(await world.run('pull', name)).toMatchObject({ exitCode: 0 });
  for (const command of [
    ['clone', name, 'copy'],
    ['get', 'copy'],
    ['inspect', name],
    ['set', 'copy', '--cpu', '3'],
    ['list'],
    ['delete', 'copy'],
  ])
    await world.run(...command);
  expect(existsSync(canary)).toBe(false);
});

row('S53', 'what is secret on a shared machine is for its owner only', async (world) => {
  const registry = await world.registry({ 'GET /v2/': { body: '{}' } });
  chmodSync(`${world.directory}/docker`, 0o755);
  const file = `${world.directory}/docker/config.json`;
  const before = readFileSync(file);
  chmodSync(file, 0o644);
  const login = await world.workplace.shell(
    `umask 0; echo hunter2 | $TARTLET login --username ci --password-stdin 127.0.0.1:${registry.port}`,
  );
  expect(login.exitCode, login.stderr).toBe(0);
  expect(statSync(file).mode & 0o077).toBe(0);
  writeFileSync(file, before);
});

it('nothing that is installed with us runs a script, and native code is the one optional helper (S55)', () => {
  interface Lock {
    readonly packages: Readonly<Record<string, { dev?: boolean; optional?: boolean; hasInstallScript?: boolean }>>;
  }
  const { packages } = JSON.parse(readFileSync(`${root}/package-lock.json`, 'utf8')) as Lock;
  const ours = Object.entries(packages).filter(([name, { dev }]) => name !== '' && dev !== true);
  expect(ours.length).toBeGreaterThan(5);
  expect(ours.filter(([, { hasInstallScript }]) => hasInstallScript === true)).toEqual([]);
  const native = ours
    .map(([name]) => name)
    .filter((name) => existsSync(`${root}/${name}`)) // Others are for other systems.
    .filter((name) =>
      readdirSync(`${root}/${name}`, { recursive: true, encoding: 'utf8' }).some((file) => file.endsWith('.node')),
    );
  expect(native.every((name) => packages[name]?.optional === true)).toBe(true);
  expect(native).toEqual([expect.stringMatching(/^node_modules\/@yuuang\/ffi-rs-[a-z0-9-]+$/)]);
});

const TELLING = ['$TART_REGISTRY_PASSWORD', '$HTTPS_PROXY', '$(cat $DOCKER_CONFIG/config.json)'];

it.each(TELLING)('a command of the tests that tells %s fails its test, whatever it is about (S34)', async (telling) => {
  const cleanup = new Cleanup();
  try {
    const { environment } = new Workplace(cleanup);
    const { ended } = new Running('bash', ['-c', `echo "${telling}" >&2`], environment);
    await expect(ended).rejects.toThrow(' told ');
  } finally {
    await cleanup.run();
  }
});

it.each(['really-used', Buffer.from('ci:really-used').toString('base64'), 'ci%3Areally-used'])(
  'a command of the tests that tells the password it logs in with, as %s, fails its test (S34, S67)',
  async (telling) => {
    const cleanup = new Cleanup();
    try {
      const login = { registry: 'h.example:1', user: 'ci', password: 'really-used' };
      const { environment } = new Workplace(cleanup, { login });
      const { ended } = new Running('bash', ['-c', `echo "${telling}"`], environment);
      await expect(ended).rejects.toThrow(' told ');
    } finally {
      await cleanup.run();
    }
  },
);
