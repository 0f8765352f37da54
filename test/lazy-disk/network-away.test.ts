import { performance } from 'node:perf_hooks';
import { expect, it, onTestFinished, vi } from 'vitest';
import { RelayedVm } from '../support/relayed-vm.ts';
import { eventually } from '../support/held-pull.ts';
import { configJson } from '../support/home.ts';
import { patternBytes } from '../support/memory-device.ts';
import type { Rule } from '../support/relay.ts';
import { send } from '../support/static-registry.ts';
import { tinyImage } from '../support/tart-image.ts';

const CHUNK = 128 * 1024;
const COUNT = 6;
const image = tinyImage({
  chunks: Array.from({ length: COUNT }, (_, at) => patternBytes(CHUNK, `chunk ${at}`)),
  config: Buffer.from(configJson()),
});

/** Nothing comes through a connection that is made now. */
const AWAY: Rule = { bytes: 0, end: 'rst' };

it('lets the guest wait while the network is away, without an error, and says so and why in one line after 60 s (N70)', async () => {
  const vm = await RelayedVm.make(image);
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
    const vm = await RelayedVm.make(image);
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
  const vm = await RelayedVm.make(image);
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
  const vm = await RelayedVm.make(image);
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
