import { randomBytes } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CANARY_ENVIRONMENT } from '../support/canary.ts';
import { plantVm } from '../support/home.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Running, Workplace } from '../support/real-command.ts';
import { startRealRegistry } from '../support/real-registry.ts';

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const MIB = 1024 ** 2;

/** What a command says is searched for the token of the environment: see test/support/canary.ts. */
describe('tartlet peer, and commands that pull', () => {
  let image: string;
  let peer: Running;
  let address: string;

  /** A user who has nothing of the image, with these variables. */
  function user(environment: Readonly<Record<string, string>> = {}): Workplace {
    const own = new Workplace(cleanup);
    Object.assign(own.environment, environment);
    return own;
  }

  beforeAll(async () => {
    const { port } = await startRealRegistry(cleanup, 'embedded');
    image = `127.0.0.1:${port}/team/base:latest`;
    const giver = user();
    await giver.run('list');
    plantVm(giver.vmDirectory('publisher'), randomBytes(3 * MIB));
    const pushed = await giver.run('push', '--layer-size', '1', '--populate-cache', 'publisher', image);
    expect(pushed).toMatchObject({ exitCode: 0 });
    peer = giver.start('peer', '--listen', '127.0.0.1:0', '--mdns', '127.0.0.1');
    await vi.waitFor(() => expect(peer.stdout).toMatch(/^127\.0\.0\.1:\d+\n/), { timeout: 20_000 });
    address = peer.stdout.trim();
  });

  afterAll(async () => {
    peer.kill('SIGTERM');
    expect((await peer.ended).exitCode).toBe(0);
  });

  it('take from the peer of the environment, and say so everywhere', async () => {
    const own = user({ TARTLET_PEERS: address });
    const plan = await own.run('pull', '--dry-run', image);
    expect(plan.stdout).toMatch(/of these +3\.\d MB +3 chunks +peers, as they say/);
    const { exitCode, stderr } = await own.run('pull', '--debug', image);
    expect(exitCode).toBe(0);
    expect(stderr).toContain(`debug: peer ${address} has 3 of 3 chunks\n`);
    const inspected = await own.run('inspect', image);
    expect(inspected.stdout).toMatch(/Origin: .*, by pull at .*, 3 MB of it from peers\n/);
    expect(peer.stderr).toMatch(/ 127\.0\.0\.1 GET \/content\/sha256:[0-9a-f]{64} 200 1 MB \d+ ms\n/);
    expect(peer.stderr).toContain(' POST /content 200 ');
  });

  it.each([
    ['--peer', (): string[] => ['--peer', address]],
    ['--peer mdns', (): string[] => ['--peer', 'mdns:127.0.0.1']],
  ])('take from the peer that %s names, and clone as well', async (_, options) => {
    const { stdout } = await user().run('pull', '--format', 'json', ...options(), image);
    expect((JSON.parse(stdout) as { peerBytes: number }).peerBytes).toBeGreaterThan(3 * MIB);
    const own = user();
    expect(await own.run('clone', ...options(), image, 'mine')).toMatchObject({ exitCode: 0 });
    expect((await own.run('inspect', image)).stdout).toContain('from peers');
  });

  it('ask no peer with --no-peers, nor where none is named', async () => {
    const before = peer.stderr;
    const said = await user({ TARTLET_PEERS: address }).run('pull', '--format', 'json', '--no-peers', image);
    expect(JSON.parse(said.stdout)).toMatchObject({ peerBytes: 0 });
    expect(await user().run('pull', image)).toMatchObject({ exitCode: 0 });
    expect(peer.stderr).toBe(before);
  });

  it.each<[string, Readonly<Record<string, string>>, readonly string[], number, RegExp]>([
    ['no token', { TARTLET_FLEET_TOKEN: '' }, ['--peer', 'a'], 1, /by a fleet token, and there is none/],
    ['a short token', { TARTLET_FLEET_TOKEN: 'short' }, ['--peer', 'a'], 1, /TARTLET_FLEET_TOKEN has 5 characters/],
    ['an address that is none', {}, ['--peer', 'http://a/b'], 64, /is not the address of a peer/],
    ['a list that is none', {}, ['--peers-from', 'cache:8221'], 64, /is not the URL of a list of peers/],
    [
      'no such file',
      {},
      ['--peer', 'a', '--fleet-token-file', '/nowhere'],
      1,
      /\/nowhere is no file with a fleet token/,
    ],
  ])('refuse %s before anything is fetched', async (_, environment, options, code, why) => {
    const { exitCode, stderr } = await user(environment).run('pull', ...options, image);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: code, stderr: expect.stringMatching(why) as string });
  });

  it('refuse a file with the token that every user can read', async () => {
    const file = `${cleanup.directory()}/token`;
    writeFileSync(file, `${CANARY_ENVIRONMENT['TARTLET_FLEET_TOKEN']}\n`);
    chmodSync(file, 0o644);
    const { exitCode, stderr } = await user().run('pull', '--peer', address, '--fleet-token-file', file, image);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`every user of this machine can read the fleet token in ${file}`);
    chmodSync(file, 0o600);
    expect(await user().run('pull', '--peer', address, '--fleet-token-file', file, image)).toMatchObject({
      exitCode: 0,
    });
  });
});
