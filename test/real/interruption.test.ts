import { existsSync, readdirSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { digestsOfVm, Workplace } from '../support/real-command.ts';
import { Gate } from '../support/real-gate.ts';
import { eventually } from '../support/real-process.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { diskChunksOf, digestOfTag, pushInChunks } from '../support/real-seed.ts';
import { createVm, fillDisk } from '../support/real-vm.ts';

const MIB = 1024 * 1024;
const PASS = { kind: 'pass' } as const;

describe('a transfer that is interrupted', () => {
  const cleanup = new Cleanup();
  let registry: RealRegistry;
  let gate: Gate;
  let sender: Workplace;
  let name: string;
  /** Digests of the eight chunks of the disk. */
  let chunks: string[];

  beforeAll(async () => {
    registry = await startRealRegistry(cleanup, 'embedded');
    gate = await Gate.start(cleanup, registry.port);
    sender = new Workplace(cleanup);
    await createVm(sender, 'vm');
    fillDisk(sender, 'vm', 8);
    await pushInChunks(sender, 'vm', `127.0.0.1:${registry.port}/team/base:1`, MIB);
    chunks = await diskChunksOf(registry.port, 'team/base', '1');
    name = `127.0.0.1:${gate.port}/team/base:1`;
  });
  afterEach(() => {
    gate.treat = () => PASS;
    gate.requests.length = 0;
    gate.stalled.length = 0;
  });
  afterAll(async () => cleanup.run());

  const blob = (digest: string | undefined): string => `GET /v2/team/base/blobs/${digest}`;

  /** Starts a pull that takes four chunks and hangs in the middle of the fifth. */
  async function pullUntilItHangs(receiver: Workplace) {
    gate.treat = (request) => (request === blob(chunks[4]) ? { kind: 'stall', bytes: 100_000 } : PASS);
    const pull = receiver.start('pull', '--concurrency', '1', name);
    await eventually('the pull hangs in its fifth chunk', () => gate.stalled.length > 0);
    gate.treat = () => PASS;
    return pull;
  }

  /** Pulls to the end and tells which chunks that fetched. */
  async function finish(receiver: Workplace): Promise<string[]> {
    gate.requests.length = 0;
    const { exitCode, stderr } = await receiver.run('pull', name);
    expect(exitCode, stderr).toBe(0);
    await receiver.run('clone', name, 'copy');
    expect(await digestsOfVm(receiver.vmDirectory('copy'))).toEqual(await digestsOfVm(sender.vmDirectory('vm')));
    expect(readdirSync(`${receiver.home}/cache/.staging`)).toEqual([]);
    return chunks.filter((digest) => gate.requests.includes(blob(digest)));
  }

  it('by Ctrl-C says how to go on, shows nothing half finished, and the next pull fetches only the rest (P7)', async () => {
    const receiver = new Workplace(cleanup);
    const pull = await pullUntilItHangs(receiver);
    pull.kill('SIGINT');

    const { exitCode, stdout, stderr } = await pull.ended;
    expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 130, stdout: '' });
    expect(stderr).toContain('error[INTERRUPTED]: interrupted by SIGINT.\n');
    expect(stderr).toContain('kept: 4 of 8 chunks are verified and kept;');
    expect(stderr).toContain('next: run the same command again to continue\n');
    expect(await receiver.names()).toEqual([]);

    expect(await finish(receiver)).toEqual(chunks.slice(4));
  });

  it('by kill -9 shows nothing half finished, and the next pull fetches only the rest (P1)', async () => {
    const receiver = new Workplace(cleanup);
    const pull = await pullUntilItHangs(receiver);
    pull.kill('SIGKILL');

    expect(await pull.ended).toMatchObject({ exitCode: undefined, stdout: '' });
    expect(await receiver.names()).toEqual([]);

    expect(await finish(receiver)).toEqual(chunks.slice(4));
  });

  it('by kill -9 while another pull waits for it: that one shows how far it is, takes over, and fetches only the rest (P13)', async () => {
    const receiver = new Workplace(cleanup);
    const first = await pullUntilItHangs(receiver);
    const second = receiver.start('pull', name);
    const waiting = /waiting: another command is pulling this image, 4\.2 MB of 8\.4 MB done$/m;
    await eventually('the second one shows how far the first is', () => waiting.test(second.stdout));
    gate.requests.length = 0;
    first.kill('SIGKILL');

    const { exitCode, stderr } = await second.ended;
    expect(exitCode, stderr).toBe(0);
    expect(chunks.filter((digest) => gate.requests.includes(blob(digest)))).toEqual(chunks.slice(4));
    expect(readdirSync(`${receiver.home}/cache/.staging`)).toEqual([]);
  });

  it('leaves the tag alone when the registry refuses the new manifest', async () => {
    const before = await digestOfTag(registry.port, 'team/base', '1');
    const publisher = new Workplace(cleanup);
    await createVm(publisher, 'other');
    gate.treat = (request) =>
      request === 'PUT /v2/team/base/manifests/1' ? { kind: 'answer', status: 403, body: 'frozen' } : PASS;

    const { exitCode, stdout, stderr } = await publisher.run('push', 'other', name);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toContain(`127.0.0.1:${gate.port}`);
    expect(stderr).toContain('frozen');
    expect(await digestOfTag(registry.port, 'team/base', '1')).toBe(before);
  });

  it('leaves the tag alone when a push is killed, and the next push finishes (P2)', async () => {
    const publisher = new Workplace(cleanup);
    await createVm(publisher, 'other');
    await publisher.run('push', 'other', `127.0.0.1:${registry.port}/team/kept:1`);
    const before = await digestOfTag(registry.port, 'team/kept', '1');
    fillDisk(publisher, 'other', 4, 5);
    // The location of the upload follows from the answer that never comes.
    gate.treat = (request) => (request.startsWith('POST /v2/team/kept/') ? { kind: 'stall', bytes: 0 } : PASS);
    const pushed = `127.0.0.1:${gate.port}/team/kept:1`;
    const push = publisher.start('push', 'other', pushed);
    await eventually('the push began', () => gate.requests.some((request) => request.startsWith('POST ')));
    push.kill('SIGKILL');
    await push.ended;
    expect(await digestOfTag(registry.port, 'team/kept', '1')).toBe(before);

    gate.treat = () => PASS;
    const again = await publisher.run('push', 'other', pushed);
    expect(again.exitCode, again.stderr).toBe(0);
    expect(again.stderr).toContain((await digestOfTag(registry.port, 'team/kept', '1')) ?? 'no digest');
    expect(await digestOfTag(registry.port, 'team/kept', '1')).not.toBe(before);
    expect(existsSync(publisher.vmDirectory('other'))).toBe(true);
    expect(readdirSync(`${publisher.home}/tmp`)).toEqual([]);
  });
});
