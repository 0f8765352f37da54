import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { expect, it, onTestFinished, vi } from 'vitest';
import { cloneOnDemand } from '../../src/lazy-disk/clone-on-demand.ts';
import { openArrival } from '../../src/lazy-disk/open-arrival.ts';
import { LocalName } from '../../src/names/local-name.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { Session } from '../../src/session/session.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { eventually } from '../support/held-pull.ts';
import { configJson, freshSession } from '../support/home.ts';
import { patternBytes } from '../support/memory-device.ts';
import { NbdClient } from '../support/nbd-client.ts';
import { Relay, type Rule } from '../support/relay.ts';
import { send, startStaticRegistry, type StaticRegistry } from '../support/static-registry.ts';
import { tinyImage } from '../support/tart-image.ts';

const CHUNK = 128 * 1024;
const COUNT = 6;
const image = tinyImage({
  chunks: Array.from({ length: COUNT }, (_, at) => patternBytes(CHUNK, `chunk ${at}`)),
  config: Buffer.from(configJson()),
});

/** Makes the file that it is asked for, empty: nothing here writes to the disk. */
const QEMU_IMG = `#!/bin/sh
: >"$5"
`;

/** Nothing comes through a connection that is made now. */
const AWAY: Rule = { bytes: 0, end: 'rst' };

/** A VM whose disk has still to arrive, by a network that can go away. */
class LazyVm {
  readonly notes: string[] = [];
  readonly #session: Session;
  readonly relay: Relay;
  readonly registry: StaticRegistry;

  private constructor(session: Session, relay: Relay, registry: StaticRegistry) {
    this.#session = session;
    this.relay = relay;
    this.registry = registry;
  }

  static async make(): Promise<LazyVm> {
    const registry = await startStaticRegistry({ latest: image });
    const relay = await Relay.start(Number(registry.address.split(':')[1]));
    onTestFinished(async () => relay.close());
    const programs = `${temporaryDirectory()}/programs`;
    mkdirSync(programs);
    writeFileSync(`${programs}/qemu-img`, QEMU_IMG);
    chmodSync(`${programs}/qemu-img`, 0o755);
    const session = freshSession({ environment: { PATH: programs }, platform: 'linux' });
    const source = `127.0.0.1:${relay.port}/org/vm:latest`;
    expect(await cloneOnDemand(session, source, LocalName.parse('ci'), { lazy: 'always' })).toMatchObject({
      copied: 'lazy',
    });
    return new LazyVm(session, relay, registry);
  }

  /** As `run` does it. @returns the guest's end of its disk. */
  async begin(): Promise<NbdClient> {
    const directory = this.#session.vms.pathOf(LocalName.parse('ci'));
    const arrival = await openArrival(this.#session, { name: 'ci', directory }, (event) => {
      if (event.kind === 'note') this.notes.push(event.text);
    });
    onTestFinished(async () => arrival?.close());
    const client = await NbdClient.at(`${directory}/lazy.sock`);
    onTestFinished(() => void client.stream.destroy());
    await client.choose('', { structured: false });
    return client;
  }

  get late(): string[] {
    return this.notes.filter((text) => text.includes('has waited'));
  }

  async isCached(): Promise<boolean> {
    const name = RemoteName.parse(`127.0.0.1:${this.relay.port}/org/vm@${image.digest}`);
    return (await this.#session.images.find(name)) !== undefined;
  }
}

it('lets the guest wait while the network is away, without an error, and says so and why in one line after 60 s (N70)', async () => {
  const vm = await LazyVm.make();
  vm.relay.rule = () => AWAY;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const guest = await vm.begin();
  for (const cookie of [1n, 2n, 3n]) guest.send(0, cookie, { offset: Number(cookie) * CHUNK, length: 512 });
  const answers: unknown[] = [];
  void guest.answer(512).then(
    (answer) => answers.push(answer),
    () => undefined, // The connection ends with the test.
  );
  await eventually(async () => {
    await vi.advanceTimersByTimeAsync(5000);
    return vm.late.length;
  }).toBe(1);
  expect(vm.late[0]).toMatch(/^the guest has waited for its disk for 60 s: .*(reset|closed|hang up|broke)/);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(vm.late).toHaveLength(1);
  expect({ answers, isCached: await vm.isCached() }).toStrictEqual({ answers: [], isCached: false });
});

it.each([
  ['before anything came', 0],
  ['in the middle of the disk', CHUNK / 2],
])(
  'goes on within 2 s of the return of a network that swallowed everything %s (N72)',
  async (_, bytes) => {
    const vm = await LazyVm.make();
    const before = vm.relay.connections;
    if (bytes === 0) vm.relay.swallow();
    else vm.relay.rule = () => ({ bytes, end: 'stall' });
    const guest = await vm.begin();
    const last = (COUNT - 1) * CHUNK;
    guest.send(0, 1n, { offset: last, length: 4096 });
    const answer = guest.answer(4096);
    await eventually(() => vm.relay.connections).toBeGreaterThan(before);
    vm.relay.swallow();
    // It is looked whether the network is back.
    const asked = vm.relay.connections;
    await eventually(() => vm.relay.connections).toBeGreaterThan(asked + 16);
    vm.relay.rule = () => undefined;
    vm.relay.comeBack();
    const returned = performance.now();
    const { errno, data } = await answer;
    const waitedMs = performance.now() - returned;
    expect(errno).toBe(0);
    expect(data.equals(image.disk.subarray(last, last + 4096))).toBe(true);
    expect(waitedMs).toBeLessThan(2000);
    await eventually(async () => vm.isCached()).toBe(true);
  },
  60_000,
);

it('waits for a registry that takes its time and answers others, and asks it once (N73)', async () => {
  const vm = await LazyVm.make();
  const [digest = '', blob] = [...image.blobs].at(-1) ?? [];
  const isProbe = (line: string): boolean => line === 'HEAD /v2/';
  const slow: (() => void)[] = [];
  vm.registry.intercept = (request, response) => {
    if (request.url?.endsWith(digest) !== true) return false;
    slow.push(() => send(request, response, blob, 'application/octet-stream'));
    return true;
  };
  const guest = await vm.begin();
  const last = (COUNT - 1) * CHUNK;
  guest.send(0, 1n, { offset: last, length: 4096 });
  await eventually(() => vm.registry.requests.filter(isProbe).length).toBeGreaterThan(4);
  expect(slow).toHaveLength(1);
  slow[0]?.();
  expect(await guest.answer(4096)).toMatchObject({ errno: 0 });
}, 60_000);

it('goes on within 2 s of the return of the network, which went in the middle of the disk (N70)', async () => {
  const vm = await LazyVm.make();
  const before = vm.relay.connections;
  // The first connections break in the middle of what they bring.
  vm.relay.rule = (connection) => (connection <= before + 3 ? { bytes: CHUNK / 2, end: 'rst' } : AWAY);
  const guest = await vm.begin();
  const last = (COUNT - 1) * CHUNK;
  guest.send(0, 1n, { offset: last, length: 4096 });
  const answer = guest.answer(4096);
  // By then, attempts are as rare as they become.
  await eventually(() => vm.relay.connections).toBeGreaterThan(before + 20);
  expect(await vm.isCached()).toBe(false);
  vm.relay.rule = () => undefined;
  const returned = performance.now();
  const { errno, data } = await answer;
  const waitedMs = performance.now() - returned;
  expect(errno).toBe(0);
  expect(data.equals(image.disk.subarray(last, last + 4096))).toBe(true);
  expect(waitedMs).toBeLessThan(2000);
  await eventually(async () => vm.isCached()).toBe(true);
}, 60_000);
