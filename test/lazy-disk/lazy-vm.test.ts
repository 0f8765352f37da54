import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { cloneOnDemand } from '../../src/lazy-disk/clone-on-demand.ts';
import { LocalName } from '../../src/names/local-name.ts';
import { runHere } from '../support/here.ts';
import { patternBytes } from '../support/memory-device.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace, type Ran } from '../support/real-command.ts';
import { type StaticRegistry, startStaticRegistry } from '../support/static-registry.ts';
import { tinyImage } from '../support/tart-image.ts';
import { configJson, freshSession } from '../support/home.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const chunks = [patternBytes(64 * 1024, 'one'), patternBytes(64 * 1024, 'two')];
const image = tinyImage({ chunks, config: Buffer.from(configJson()) });

interface Place {
  readonly workplace: Workplace;
  readonly registry: StaticRegistry;
  /** Of the image. */
  readonly name: string;
  run(...words: readonly string[]): Promise<Ran>;
}

async function place(of = image): Promise<Place> {
  const registry = await startStaticRegistry({ latest: of });
  const workplace = new Workplace(cleanup, { isFresh: true });
  const run = async (...words: readonly string[]): Promise<Ran> => runHere(workplace, words);
  return { workplace, registry, name: `${registry.address}/org/vm:latest`, run };
}

async function withLazyVm(): Promise<Place> {
  const made = await place();
  expect(await made.run('clone', '--lazy=always', made.name, 'ci')).toMatchObject({ exitCode: 0 });
  return made;
}

it('clones without fetching anything of the disk, and there is nothing that Tart would take for one', async () => {
  const { workplace, registry, name, run } = await place();
  expect(await run('clone', '--lazy=always', name, 'ci')).toStrictEqual({
    exitCode: 0,
    stdout: '',
    stderr: 'note: the disk arrives when the VM runs: its start needs about 69 KB of 131.1 KB\n',
  });
  expect(readdirSync(workplace.vmDirectory('ci')).toSorted()).toStrictEqual([
    '.lazy-manifest.json',
    '.lazy.json',
    '.origin.json',
    'config.json',
    'nvram.bin',
  ]);
  expect(registry.blobRequests()).toHaveLength(2);
  const { manifest, config, nvram } = image;
  const read = (file: string): Buffer => readFileSync(`${workplace.vmDirectory('ci')}/${file}`);
  expect([read('.lazy-manifest.json'), read('config.json'), read('nvram.bin')]).toStrictEqual(
    [manifest, config, nvram].map((bytes) => Buffer.from(bytes)),
  );
});

it('answers in JSON what it made', async () => {
  const { name, run } = await place();
  const { stdout } = await run('clone', '--lazy=always', '--format', 'json', name, 'ci');
  expect(JSON.parse(stdout)).toStrictEqual({
    schema: 'tartlet.clone/v1',
    source: name,
    name: 'ci',
    digest: image.digest,
    copied: 'lazy',
    replaced: false,
    start: { bytes: 68_891, ofBytes: 131_096, bytesPerSecond: null },
  });
});

it('makes an ordinary clone of an image that is in the cache', async () => {
  const { workplace, name, run } = await place();
  await run('pull', name);
  expect(await run('clone', '--lazy=always', name, 'ci')).toMatchObject({ exitCode: 0 });
  expect(readFileSync(`${workplace.vmDirectory('ci')}/disk.img`).equals(image.disk)).toBe(true);
  expect(existsSync(`${workplace.vmDirectory('ci')}/.lazy.json`)).toBe(false);
});

it('does as TARTLET_LAZY says where there is no option, and refuses other words', async () => {
  const { workplace, name } = await place();
  const says = (value: string): Workplace =>
    Object.assign(Object.create(workplace) as Workplace, {
      environment: { ...workplace.environment, TARTLET_LAZY: value },
    });
  expect((await runHere(says('always'), ['clone', name, 'one'])).stderr).toContain('the disk arrives');
  expect((await runHere(says('always'), ['clone', '--lazy=never', name, 'two'])).stderr).not.toContain('arrives');
  expect(await runHere(says('sometimes'), ['clone', name, 'three'])).toMatchObject({ exitCode: 64 });
  expect(await runHere(workplace, ['clone', '--lazy=soon', name, 'three'])).toMatchObject({ exitCode: 64 });
});

it('runs a clone that begins before its disk is here and goes with its run, by an option or TARTLET_LAZY', async () => {
  for (const [words, variable] of [
    [['--lazy=always'], ''],
    [[], 'always'],
    [['--lazy=never'], 'always'],
  ] as const) {
    const { workplace, registry, name } = await place();
    // It cannot run here: what was fetched is that for the start.
    const environment = { ...workplace.environment, PATH: '', TARTLET_LAZY: variable };
    const here = Object.assign(Object.create(workplace) as Workplace, { environment });
    const { exitCode, stderr } = await runHere(here, ['run', '--rm', ...words, name, '--', 'sh', '--lazy']);
    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('HOST_LACKS') as string,
    });
    expect(registry.blobRequests()).toHaveLength(words[0] === '--lazy=never' ? 4 : 2);
    expect(readdirSync(`${workplace.home}/vms`)).toStrictEqual([]);
  }
});

it.each([
  ['the last part of its repository', [], 'vm'],
  ['the name that was given', ['--name', 'ci'], 'ci'],
])('run --lazy makes a VM of an image that stays, with %s', async (_, words, made) => {
  const { workplace, registry, name, run } = await place();
  // It cannot run here, and is kept.
  const environment = { ...workplace.environment, PATH: '' };
  const here = Object.assign(Object.create(workplace) as Workplace, { environment });
  const { exitCode, stderr } = await runHere(here, ['run', '--lazy=always', ...words, name]);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('HOST_LACKS') as string });
  expect(stderr).toContain(`note: made the VM ${made}\n`);
  expect(existsSync(`${workplace.vmDirectory(made)}/.lazy.json`)).toBe(true);
  expect(registry.blobRequests()).toHaveLength(2);
  const again = await run('run', '--lazy', ...words, name);
  expect(again.exitCode).toBe(1);
  expect(again.stderr).toMatch(/^error\[VM_EXISTS\]: the VM "(?:vm|ci)" exists already\.\nkept: it was left alone\n/);
  expect(again.stderr).toContain(`tartlet run ${made}; or give the new one another name by --name`);
});

it.each([
  [['--lazy', 'ci'], 'run it without --lazy: a VM has its disk, or that arrives by itself'],
  [['--lazy', '--name', '..', 'host/org/vm'], '".." cannot be the name of a local VM'],
  [['--lazy', 'host/org/vm', 'ls'], 'next: run it in a running VM with exec or ssh'],
  [['--name', 'other', 'ci'], 'next: leave it out, or give --lazy and an image'],
  [['--rm', '--name', 'other', 'host/org/vm'], '--rm and --name exclude each other'],
  [['--lazy', '--wait-for', 'dinner', 'host/org/vm'], '"dinner" is nothing to wait for'],
  [['--lazy', '--no-graphics', '--graphics', 'host/org/vm'], '--graphics and --no-graphics exclude each other'],
])('refuses run %j before anything is made', async (words, said) => {
  const { workplace, run } = await place();
  const { exitCode, stderr } = await run('run', ...words);
  expect(exitCode, stderr).toBe(64);
  expect(stderr).toContain(said);
  expect(existsSync(`${workplace.home}/vms`)).toBe(false);
});

it('clones as a whole on other systems, and refuses always', async () => {
  const { name } = await place();
  const session = freshSession({ platform: 'darwin' });
  const ci = LocalName.parse('ci');
  await expect(cloneOnDemand(session, name, ci, { lazy: 'always' })).rejects.toMatchObject({ code: 'USAGE' });
  await cloneOnDemand(session, name, ci, { lazy: 'auto' });
  expect(readFileSync(`${session.vms.pathOf(ci)}/disk.img`).equals(image.disk)).toBe(true);
});

it('gives the second VM of an image a MAC address of its own', async () => {
  const { workplace, name, run } = await withLazyVm();
  await run('clone', '--lazy=always', name, 'other');
  const mac = (vm: string): unknown =>
    (JSON.parse(readFileSync(`${workplace.vmDirectory(vm)}/config.json`, 'utf8')) as Record<string, unknown>)[
      'macAddress'
    ];
  expect(mac('ci')).toBe('7e:12:34:56:78:9a');
  expect(mac('other')).not.toBe('7e:12:34:56:78:9a');
});

it('lists, shows, changes, renames and deletes it like any VM, and the doctor finds nothing', async () => {
  const { workplace, run } = await withLazyVm();
  expect((await run('list', '--format', 'json')).stdout).toContain('"Name": "ci"');
  expect(JSON.parse((await run('get', 'ci', '--format', 'json')).stdout)).toMatchObject({ CPU: 4, State: 'stopped' });
  expect(await run('set', 'ci', '--cpu', '8')).toMatchObject({ exitCode: 0 });
  expect(await run('rename', 'ci', 'web')).toMatchObject({ exitCode: 0 });
  expect(await run('doctor', '--deep')).toMatchObject({ exitCode: 0 });
  expect(await run('prune', '--entries', 'vms', '--older-than', '30')).toMatchObject({ exitCode: 0 });
  expect(existsSync(workplace.vmDirectory('web'))).toBe(true);
  expect(await run('delete', 'web')).toMatchObject({ exitCode: 0 });
  expect(existsSync(workplace.vmDirectory('web'))).toBe(false);
});

it('takes a record that cannot be understood for no VM, and lets it be deleted', async () => {
  const { workplace, run } = await withLazyVm();
  writeFileSync(`${workplace.vmDirectory('ci')}/.lazy.json`, '{"version":2}');
  expect((await run('list', '--quiet')).stdout).toBe('');
  expect((await run('doctor')).stdout).toContain('vm-incomplete');
  expect(await run('delete', 'ci')).toMatchObject({ exitCode: 0 });
});
