import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { systemClock } from '../../src/registry/request/clock.ts';
import { after, blobOf, clientFor, collect, scripted } from '../registry/world.ts';
import { Relay } from '../support/relay.ts';
import { honest } from '../support/scripted-image.ts';

const MIB = 1024 * 1024;
/** 50 GB over a line that breaks every 320 MB, all of it a thousandth: 157 breaks. */
const SCALE = 1000;
const SIZE = Math.round(50e9 / SCALE);
const BREAK = Math.round(320e6 / SCALE);

/** A registry with one large blob, and a client that reaches it through a bad line. */
async function behindBadLine(size: number) {
  const blob = blobOf(size);
  const registry = await scripted({
    [`GET /v2/a/b/blobs/${blob.digest.toString()}`]: (request) => honest(blob.bytes, request),
  });
  const relay = await Relay.start(registry.port);
  after(() => relay.close());
  const line = clientFor(RegistryAddress.parse(`127.0.0.1:${relay.port}`), {
    endpoint: `http://127.0.0.1:${relay.port}`,
    change: { progressBytes: Math.round(MIB / SCALE), bodyIdleMs: 200 },
  });
  return { blob, relay, ...line };
}

/** SHA-256 of what comes, and how much that was. */
async function digestOf(source: AsyncIterable<Uint8Array>) {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of source) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { digest: `sha256:${hash.digest('hex')}`, bytes };
}

describe('50 GB over a line that breaks every few hundred MB', () => {
  it('arrive, and at most a fiftieth of it twice (N14)', async () => {
    const { blob, relay, client, clock } = await behindBadLine(SIZE);
    // No two breaks are alike.
    relay.rule = (connection) => ({ bytes: BREAK + ((connection * 7919) % 10_000), end: 'fin' });
    expect(await digestOf(client.blob(blob))).toEqual({ digest: blob.digest.toString(), bytes: SIZE });
    expect(relay.connections).toBeGreaterThan(140);
    expect(relay.delivered).toBeLessThanOrEqual(SIZE * 1.02);
    // Each break is the first one without progress: half a second at most, whatever came before.
    expect(clock.slept.length).toBe(relay.connections - 1);
    expect(Math.max(...clock.slept)).toBeLessThanOrEqual(500);
  });

  it('with resets cost what was on its way (N15)', async () => {
    const { blob, relay, client } = await behindBadLine(SIZE);
    let arrived = 0;
    const isNearlyThere = () => relay.delivered - arrived < 64 * 1024;
    relay.rule = () => ({ bytes: 4 * MIB, end: 'rst', resetWhen: isNearlyThere });
    const bytes = client.blob(blob, {
      onBytes: (count) => {
        arrived += count;
      },
    });
    expect(await digestOf(bytes)).toEqual({ digest: blob.digest.toString(), bytes: SIZE });
    expect(relay.connections).toBeGreaterThanOrEqual(12);
    expect(relay.delivered).toBeLessThanOrEqual(SIZE * 1.02);
  });

  it('that also goes silent now and then (N13)', async () => {
    const { blob, relay, client } = await behindBadLine(8 * MIB);
    relay.rule = (connection) => ({ bytes: MIB, end: connection % 3 === 0 ? 'stall' : 'fin' });
    expect(await digestOf(client.blob(blob))).toEqual({ digest: blob.digest.toString(), bytes: 8 * MIB });
    expect(relay.delivered).toBeLessThanOrEqual(8 * MIB * 1.02);
  });
});

describe('a line that brings nothing', () => {
  it('is given up after six attempts, which together take no more than half a minute (N14)', async () => {
    const { blob, relay, client, clock } = await behindBadLine(MIB);
    relay.rule = (connection) => ({ bytes: connection === 1 ? 500_000 : 0, end: 'fin' });
    await expect(digestOf(client.blob(blob))).rejects.toMatchObject({ code: 'NET_BROKEN' });
    expect(relay.connections).toBe(6);
    expect(clock.elapsed).toBeLessThan(30_000);
  });

  it('is not tried for longer because opening and reading fail in turn (N14, N29)', async () => {
    const blob = blobOf(500);
    const registry = await scripted({
      [`GET /v2/a/b/blobs/${blob.digest.toString()}`]: (_request, count) =>
        count % 2 === 0 ? { status: 503 } : { headers: { 'content-length': '500' }, ending: 'fin' },
    });
    await expect(digestOf(clientFor(registry).client.blob(blob))).rejects.toMatchObject({ code: 'REG_UNAVAILABLE' });
    expect(registry.requests).toHaveLength(6);
  });
});

describe('a body that trickles', () => {
  it('is asked for again on another connection, where it stopped (N13)', async () => {
    const blob = blobOf(3000);
    const registry = await scripted();
    const { client } = clientFor(registry, { change: { trickleMs: 100 }, clock: systemClock });
    registry.on(`GET /v2/a/b/blobs/${blob.digest.toString()}`, (request, count) =>
      count > 1
        ? honest(blob.bytes, request)
        : {
            headers: { 'content-length': '3000' },
            body: Array.from({ length: 100 }, (_, byte) => blob.bytes.subarray(byte, byte + 1)),
            everyMs: 10,
            ending: 'stall',
          },
    );
    expect(await collect(client.blob(blob))).toEqual(blob.bytes);
    expect(registry.requests[1]?.headers['range']).toMatch(/^bytes=[1-9]\d?-2999$/);
    expect(registry.requests[1]?.connection).not.toBe(registry.requests[0]?.connection);
  });
});
