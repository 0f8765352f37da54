import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { FileLock } from '../../src/fs/lock/lock.ts';
import { LAZY_IMAGE, LazyVm } from '../support/lazy-vm.ts';
import { plantPretendQemu } from '../support/pretend-qemu.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Running } from '../support/real-command.ts';
import { eventually } from '../support/held-pull.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { tinyImage } from '../support/tart-image.ts';
import { configJson } from '../support/home.ts';
import { patternBytes } from '../support/memory-device.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const HEX = LAZY_IMAGE.digest.slice('sha256:'.length);

async function json(vm: LazyVm, ...words: readonly string[]): Promise<unknown> {
  const { stdout } = await vm.run(...words, '--format', 'json');
  return JSON.parse(stdout);
}

describeWithParts('a VM whose disk has not arrived', ['qemu-img', 'ovmf'], () => {
  it('runs with a disk that is read-only, and gets its own in a later run', async () => {
    const vm = await LazyVm.make(cleanup);
    const config = `${vm.directory}/config.json`;
    writeFileSync(config, readFileSync(config, 'utf8').replace('"arm64"', '"amd64"'));
    const { directory, environment } = vm.workplace;
    plantPretendQemu(`${directory}/programs`);
    const argv = [COMMAND, 'run', 'ci', '--no-graphics', '--root-disk-opts', 'ro'];
    const running = new Running(process.execPath, argv, {
      ...environment,
      PATH: `${directory}/programs:${environment['PATH'] ?? ''}`,
      PRETENDED_PHASE: 'up',
      PRETENDED_MARK: `${directory}/mark`,
    });
    cleanup.add(() => running.kill('SIGKILL'));
    await eventually(() => running.stderr).toContain('it gets one of its own in the next one that may write to it');
    await eventually(() => taggedDigest(vm, 'latest')).toBe(LAZY_IMAGE.digest);
    running.kill('SIGINT');
    expect(await running.ended).toMatchObject({ exitCode: 0 });
    expect(existsSync(`${vm.directory}/disk.img`)).toBe(false);
    expect(await vm.run('clone', 'ci', 'other')).toMatchObject({ exitCode: 0 });
    expect(readFileSync(`${vm.directory}/disk.img`).equals(LAZY_IMAGE.disk)).toBe(true);
  });

  it('is as large as it will be, and occupies what its guest wrote', async () => {
    const vm = await LazyVm.make(cleanup);
    await vm.run('set', 'ci', '--disk-size', '2');
    vm.write(['write -P 0xab 0 512k'], 2_000_000_000);
    expect(await json(vm, 'list')).toMatchObject([{ Name: 'ci', Disk: 2, Size: 0, State: 'stopped', Running: false }]);
    expect(await json(vm, 'get', 'ci')).toMatchObject({ Disk: 2, Size: '0.001', State: 'stopped' });
    const written = expect.toSatisfy((bytes: number) => bytes > 512 * 1024 && bytes < 1024 * 1024) as number;
    const sizes = { allocatedBytes: written, reclaimableBytes: written };
    const large = expect.toSatisfy((bytes: number) => bytes > 2_000_000_000 && bytes < 2_000_010_000) as number;
    expect(await json(vm, 'inspect', 'ci')).toMatchObject({ layout: 'lazy', logicalBytes: large, ...sizes });
    expect(await json(vm, 'df')).toMatchObject({ vms: [{ name: 'ci', logicalBytes: large, ...sizes }] });
  });
});

it('goes like any other by prune --entries vms, delete, and what takes its name', async () => {
  const vm = await LazyVm.make(cleanup);
  const { stdout } = await vm.run('prune', '--dry-run', '--entries', 'vms', '--older-than', '0');
  expect(stdout).toContain('would delete ci');
  expect(await vm.run('create', '--linux', '--disk-size', '1', 'other')).toMatchObject({ exitCode: 0 });
  expect(await vm.run('export', 'other', `${vm.workplace.directory}/other.tar`)).toMatchObject({ exitCode: 0 });
  const { exitCode, stderr } = await vm.run('import', `${vm.workplace.directory}/other.tar`, 'ci');
  expect({ exitCode, stderr }).toMatchObject({
    exitCode: 0,
    stderr: expect.stringContaining('note: replaced the VM ci, which did not run') as string,
  });
  expect(readdirSync(vm.directory).filter((name) => name.includes('lazy'))).toStrictEqual([]);
  expect(vm.registry.blobRequests()).toHaveLength(2);
});

it.each([
  ['is not there', undefined],
  ['is not that of', LAZY_IMAGE.manifest.slice(0, -1)],
  ['cannot be understood', Buffer.from('{')],
])('is damaged for the doctor when the manifest of its image %s, and no command begins in vain', async (why, bytes) => {
  const vm = await LazyVm.make(cleanup);
  const manifest = `${vm.directory}/.lazy-manifest.json`;
  if (bytes === undefined) rmSync(manifest);
  else writeFileSync(manifest, why === 'is not that of' ? Buffer.concat([bytes, Buffer.from(' }')]) : bytes);
  const examined = await vm.run('doctor');
  expect(examined.exitCode).toBe(1);
  expect(examined.stdout).toContain(`damage: vm-incomplete: its disk cannot arrive: .lazy-manifest.json ${why}`);
  expect((await vm.run('clone', 'ci', 'other')).exitCode).toBe(1);
  expect(vm.registry.blobRequests()).toHaveLength(2);
  expect(await vm.run('delete', 'ci')).toMatchObject({ exitCode: 0 });
});

it('is told to have a record that cannot be understood, when it has', async () => {
  const vm = await LazyVm.make(cleanup);
  writeFileSync(`${vm.directory}/.lazy.json`, '{"version":1');
  for (const words of [
    ['get', 'ci'],
    ['run', 'ci'],
    ['push', 'ci', '127.0.0.1:9/team/vm'],
    ['rename', 'ci', 'other'],
  ]) {
    const { exitCode, stderr } = await vm.run(...words);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(
      'error[VM_INVALID]: the VM "ci" cannot be used: there is no disk.img, .lazy.json cannot be understood.',
    );
  }
});

it('is refused with what its guest wrote, where that is no such file', async () => {
  const vm = await LazyVm.make(cleanup);
  writeFileSync(`${vm.directory}/lazy.qcow2`, 'no overlay');
  const { exitCode, stderr } = await vm.run('clone', 'ci', 'other');
  expect(exitCode).toBe(1);
  expect(stderr).toContain(
    `error[VM_INVALID]: what the guest wrote cannot be read: ${vm.directory}/lazy.qcow2 is no qcow2 image.`,
  );
  expect(vm.registry.blobRequests()).toHaveLength(2);
});

/** What a tag of the repository leads to in the cache. */
function taggedDigest(vm: LazyVm, tag: string): string | undefined {
  const link = `${vm.workplace.home}/cache/OCIs/${vm.registry.address.replace(':', '%3A')}/org/vm/${tag}`;
  return lstatSync(link, { throwIfNoEntry: false }) === undefined ? undefined : readlinkSync(link).split('/').at(-1);
}

const LATER = tinyImage({ chunks: [patternBytes(4096, 'later')], config: Buffer.from(configJson()) });

it('has its image in the cache under the tag that was asked for, when it is here', async () => {
  const vm = await LazyVm.make(cleanup);
  // The tag has moved meanwhile: a clone that is not lazy would have made it lead to what it led to then.
  vm.registry.tags.set('latest', LATER);
  expect(await vm.run('clone', 'ci', 'other')).toMatchObject({ exitCode: 0 });
  expect(taggedDigest(vm, 'latest')).toBe(LAZY_IMAGE.digest);
  expect((await vm.run('list', '-q', '--source', 'oci')).stdout).toBe(`${vm.image}\n${nameByDigest(vm)}\n`);
});

const nameByDigest = (vm: LazyVm): string => vm.image.replace(':latest', `@${LAZY_IMAGE.digest}`);

it('leaves a tag where it leads that was pulled after the VM was made', async () => {
  const vm = await LazyVm.make(cleanup);
  vm.registry.tags.set('latest', LATER);
  expect(await vm.run('pull', vm.image)).toMatchObject({ exitCode: 0 });
  expect(await vm.run('clone', 'ci', 'other')).toMatchObject({ exitCode: 0 });
  expect(taggedDigest(vm, 'latest')).toBe(LATER.digest);
});

it('makes no tag for an image that was asked for by its digest, which is kept as one that was pulled so', async () => {
  const vm = await LazyVm.make(cleanup, `@${LAZY_IMAGE.digest}`);
  expect(await vm.run('clone', 'ci', 'other')).toMatchObject({ exitCode: 0 });
  expect(taggedDigest(vm, 'latest')).toBeUndefined();
  const directory = `${vm.workplace.home}/cache/OCIs/${vm.registry.address.replace(':', '%3A')}/org/vm/${LAZY_IMAGE.digest}`;
  expect(existsSync(`${directory}/.explicitly-pulled`)).toBe(true);
});

it('loses neither what came of its disk nor its image to prune, while a command brings or reads them', async () => {
  const vm = await LazyVm.make(cleanup);
  const staging = `${vm.workplace.home}/cache/.staging/${HEX}`;
  const [last = ''] = [...LAZY_IMAGE.blobs.keys()].slice(-2);
  vm.registry.intercept = (request, response) => {
    if (request.url?.endsWith(last) !== true) return false;
    response.writeHead(404).end();
    return true;
  };
  expect((await vm.run('clone', 'ci', 'other')).exitCode).toBe(1);
  expect(existsSync(`${staging}/.verified`)).toBe(true);
  expect((await vm.run('doctor')).stdout).toContain('scratch-resumable');
  expect((await vm.run('prune', '--gc')).exitCode).toBe(0);
  expect(existsSync(`${staging}/.verified`)).toBe(true);
  vm.registry.intercept = undefined;
  expect(await vm.run('pull', vm.image)).toMatchObject({ exitCode: 0 });
  const lock = await FileLock.acquire(`${vm.workplace.home}/cache/.locks/${HEX}.lock`, { mode: 'shared', wait: false });
  const spared = await vm.run('prune', '--older-than', '0');
  expect(spared.stdout + spared.stderr).toContain('another command');
  await lock?.release();
  expect((await vm.run('prune', '--older-than', '0')).exitCode).toBe(0);
  // The image is gone: it is fetched again.
  expect(await vm.run('clone', 'ci', 'other')).toMatchObject({ exitCode: 0 });
});
