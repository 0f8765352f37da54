import { appendFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { RelayedVm } from '../support/relayed-vm.ts';
import { eventually } from '../support/held-pull.ts';
import { configJson } from '../support/home.ts';
import { send } from '../support/static-registry.ts';
import { tinyImage } from '../support/tart-image.ts';

/** As many units, of so many bytes; `npm run acceptance l4` wants 30 of 16 MiB. */
const UNITS = Number(process.env['TARTLET_LAZY_FLIPS'] ?? '5');
const UNIT_BYTES = Number(process.env['TARTLET_LAZY_UNIT_KIB'] ?? '128') * 1024;
const REPORT = process.env['TARTLET_LAZY_REPORT'];
const READ_BYTES = 4096;
const LONG_MS = REPORT === undefined ? 60_000 : 900_000;

it(
  'gives a guest no byte of what was changed on the way, and all of it when that is mended (C35)',
  async () => {
    const chunks = Array.from({ length: UNITS + 1 }, (_, at) => Buffer.alloc(UNIT_BYTES, `content of unit ${at}, `));
    const image = tinyImage({ chunks, config: Buffer.from(configJson()) });
    /** Behind the stub, the configuration and the NVRAM come the blobs of the disk; the last one is as it should be. */
    const units = [...image.blobs].slice(3, 3 + UNITS);
    const vm = await RelayedVm.make(image);
    const asked = new Map<string, number>();
    let isDamaged = true;
    vm.registry.intercept = (request, response) => {
      const at = units.findIndex(([digest]) => request.url?.endsWith(digest) === true);
      const [digest = '', blob = new Uint8Array()] = units[at] ?? [];
      if (at < 0) return false;
      asked.set(digest, (asked.get(digest) ?? 0) + 1);
      const bytes = Buffer.from(blob);
      // Another place in each: near the begin, the end, and between.
      const place = Math.floor((bytes.length * (at + 0.5)) / units.length);
      if (isDamaged) bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
      send(request, response, bytes, 'application/octet-stream');
      return true;
    };
    const guest = await vm.begin();
    const offsetOf = (unit: number): number => unit * UNIT_BYTES + (unit % 7) * READ_BYTES;
    for (let unit = 0; unit < UNITS; unit += 1) {
      guest.send(0, BigInt(unit), { offset: offsetOf(unit), length: READ_BYTES });
    }
    // A read that needs nothing of these is answered, and it alone.
    guest.send(0, BigInt(UNITS), { offset: UNITS * UNIT_BYTES, length: READ_BYTES });
    const first = await guest.answer(READ_BYTES);
    expect(first).toMatchObject({ cookie: BigInt(UNITS), errno: 0 });
    // Each was fetched, and once more, because that may have been the way, and then again later.
    await expect
      .poll(() => units.filter(([digest]) => (asked.get(digest) ?? 0) > 2).length, { timeout: LONG_MS })
      .toBe(UNITS);
    const next = guest.answer(READ_BYTES);
    next.catch(() => undefined);
    expect(await Promise.race([next, Promise.resolve('stands still')])).toBe('stands still');
    const named = vm.notes.filter((text) => text.includes('a part of the disk does not arrive'));
    expect(named).toHaveLength(Math.min(UNITS, 5));
    expect(named.every((text) => units.some(([digest]) => text.includes(digest)))).toBe(true);
    isDamaged = false;
    let right = 0;
    for (let answers = 0; answers < UNITS; answers += 1) {
      const { cookie, errno, data } = answers === 0 ? await next : await guest.answer(READ_BYTES);
      const offset = offsetOf(Number(cookie));
      expect(errno).toBe(0);
      if (data.equals(image.disk.subarray(offset, offset + READ_BYTES))) right += 1;
    }
    expect(right).toBe(UNITS);
    await eventually(async () => vm.isCached()).toBe(true);
    if (REPORT !== undefined) appendFileSync(REPORT, `${JSON.stringify({ units: UNITS, right })}\n`);
  },
  LONG_MS,
);
