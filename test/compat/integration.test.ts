import { createReadStream, lstatSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { TartInPath } from '../support/tart-in-path.ts';

/*
 * Tart's own integration tests that need no macOS guest (tart-cli §6.1), with the binary that is called `tart` here.
 * The Go test of tart-cli §6.2 is test/cli/telemetry.test.ts, "Tart's own test of its tracing".
 */

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

describe("Tart's integration tests", () => {
  const list = ['list', '--source', 'local', '--quiet'] as const;

  it('test_create_linux', async () => {
    const user = new TartInPath(cleanup);
    expect(await user.succeed('create', '--linux', 'linux-vm')).toBe('');
    expect(await user.succeed(...list)).toBe('linux-vm\n');
  });

  it('test_clone', async () => {
    const user = new TartInPath(cleanup);
    await user.succeed('create', '--linux', 'debian');
    expect(await user.succeed('clone', 'debian', 'ubuntu')).toBe('');
    expect(await user.succeed(...list)).toBe('debian\nubuntu\n');
  });

  it('test_rename', async () => {
    const user = new TartInPath(cleanup);
    await user.succeed('create', '--linux', 'debian');
    expect(await user.succeed('rename', 'debian', 'ubuntu')).toBe('');
    expect(await user.succeed(...list)).toBe('ubuntu\n');
  });

  it('test_delete', async () => {
    const user = new TartInPath(cleanup);
    await user.succeed('create', '--linux', 'debian');
    expect(await user.succeed(...list)).toBe('debian\n');
    expect(await user.succeed('delete', 'debian')).toBe('');
    expect(await user.succeed(...list)).toBe('');
  });
});

/** The original measures 10^9 bytes and compares nothing; this one compares, which needs less. */
const DISK_BYTES = 64 * 1024 * 1024 + 4_099;

describeWithParts("Tart's test of push and pull", ['docker-registry'], () => {
  const name = `integration-test-${randomUUID()}`;
  const disk = randomBytes(DISK_BYTES);
  let user: TartInPath;
  let registry: RealRegistry;
  let remote: string;

  beforeAll(async () => {
    user = new TartInPath(cleanup);
    registry = await startRealRegistry(cleanup, 'docker-registry');
    remote = `127.0.0.1:${registry.port}/tart/${name}:latest`;
    await user.succeed('create', '--linux', name);
    writeFileSync(`${user.vmDirectory(name)}/disk.img`, disk);
  });

  it('test_push_speed, test_pull_speed: a disk of random bytes comes back the same', async () => {
    expect(await user.succeed('push', '--insecure', name, remote)).toBe('');
    expect(await user.succeed('pull', '--insecure', remote)).toBe('');

    const target = `${user.home}/cache`;
    expect(lstatSync(target).isSymbolicLink()).toBe(true);
    expect(realpathSync(target)).toBe(`${realpathSync(user.environment['HOME'] ?? '')}/.tart/cache`);
    const image = `${target}/OCIs/127.0.0.1%3A${registry.port}/tart/${name}/latest`;
    expect(await isEqual(`${image}/disk.img`, disk)).toBe(true);
    const vm = user.vmDirectory(name);
    expect(readFileSync(`${image}/nvram.bin`).equals(readFileSync(`${vm}/nvram.bin`))).toBe(true);
    expect(JSON.parse(readFileSync(`${image}/config.json`, 'utf8'))).toEqual(
      JSON.parse(readFileSync(`${vm}/config.json`, 'utf8')),
    );
  });

  it('the teardown deletes the VM, and the images stay', async () => {
    expect(await user.succeed('delete', name)).toBe('');
    const [tag, digest, ...more] = (await user.succeed('list', '-q')).split('\n');
    expect([tag, more]).toEqual([remote, ['']]);
    expect(digest).toMatch(new RegExp(`^127\\.0\\.0\\.1:${registry.port}/tart/${name}@sha256:[0-9a-f]{64}$`));
  });
});

/** Compares by pieces: an assertion on 64 MiB would print them. */
async function isEqual(file: string, bytes: Buffer): Promise<boolean> {
  let at = 0;
  for await (const piece of createReadStream(file) as AsyncIterable<Buffer>) {
    if (!bytes.subarray(at, at + piece.length).equals(piece)) return false;
    at += piece.length;
  }
  return at === bytes.length;
}
