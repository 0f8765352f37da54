import { readdirSync, rmSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { expect, it } from 'vitest';
import { eventually } from '../support/held-pull.ts';
import { configJson } from '../support/home.ts';
import { patternBytes } from '../support/memory-device.ts';
import { RelayedVm } from '../support/relayed-vm.ts';
import { send } from '../support/static-registry.ts';
import { tinyImage } from '../support/tart-image.ts';

const CHUNK = 128 * 1024;
const COUNT = 6;
const image = tinyImage({
  chunks: Array.from({ length: COUNT }, (_, at) => patternBytes(CHUNK, `chunk ${at}`)),
  config: Buffer.from(configJson()),
});
const LAST = (COUNT - 1) * CHUNK;

it.each(['before a connection', 'in a body'] as const)(
  'ends at once when it is told to, while a network swallows everything %s (N72)',
  async (when) => {
    const vm = await RelayedVm.make(image);
    if (when === 'before a connection') vm.relay.swallow();
    else vm.relay.rule = () => ({ bytes: CHUNK / 2, end: 'stall' });
    const { connections } = vm.relay;
    const guest = await vm.begin();
    guest.send(0, 1n, { offset: LAST, length: 4096 });
    await eventually(() => vm.relay.connections).toBeGreaterThan(connections);
    vm.relay.swallow();
    await eventually(() => vm.relay.connections).toBeGreaterThan(connections + 8);
    const told = performance.now();
    await vm.end();
    expect(performance.now() - told).toBeLessThan(2000);
  },
  60_000,
);

it('goes on when the directory in which a disk arrives is removed (N75)', async () => {
  const vm = await RelayedVm.make(image);
  const [last = ''] = [...image.blobs].at(-1) ?? [];
  let isHeld = true;
  vm.registry.intercept = (request, response) => {
    if (!isHeld || request.url?.endsWith(last) !== true) return false;
    // A part that is asked for while nothing lies where it belongs.
    for (const name of readdirSync(vm.staging)) rmSync(`${vm.staging}/${name}`, { recursive: true });
    isHeld = false;
    send(request, response, image.blobs.get(last), 'application/octet-stream');
    return true;
  };
  const guest = await vm.begin();
  guest.send(0, 1n, { offset: LAST, length: 4096 });
  const { errno, data } = await guest.answer(4096);
  expect({ errno, isRight: data.equals(image.disk.subarray(LAST, LAST + 4096)) }).toStrictEqual({
    errno: 0,
    isRight: true,
  });
  await eventually(async () => vm.isCached()).toBe(true);
}, 60_000);
