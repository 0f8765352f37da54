import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/registry/request/limits.ts';
import { PieceReader } from '../../../src/registry/transport/piece-reader.ts';
import { refused } from '../../../src/registry/response/refusal.ts';
import { httpTransport } from '../../../src/registry/transport/transport.ts';
import { after, collect, eventually, scripted } from '../world.ts';

const TEXT = 'an answer';
const TAKEN = { code: 'INTERNAL', message: expect.stringContaining('before it was to be read') as string };

/** The two ways that bodies come. */
describe.each([
  ['through the library', {}],
  ['straight from the socket', { transientChunks: 'blob' as const }],
])('the body of an answer, %s', (_way, how) => {
  async function answer() {
    const registry = await scripted({ 'GET /x': { status: 404, body: TEXT } });
    const { send, close } = httpTransport({ userAgent: 'test', environment: {}, limits });
    after(close);
    const url = new URL(`${registry.origin}/x`);
    return send({ method: 'GET', url, headers: {}, access: { action: 'pull' }, idempotent: true, ...how });
  }

  it('is there once', async () => {
    const { body } = await answer();
    expect((await collect(body)).toString()).toBe(TEXT);
    await expect(collect(body)).rejects.toMatchObject(TAKEN);
  });

  it('cannot be read when it was discarded: that fails at once, and waits for nothing', async () => {
    const response = await answer();
    await response.body.discard();
    await expect(collect(response.body)).rejects.toMatchObject(TAKEN);
    await expect(refused(response, { what: 'x', subject: 'x' })).rejects.toMatchObject(TAKEN);
  });

  it('cannot be read when it was closed', async () => {
    const { body } = await answer();
    body.destroy();
    await expect(collect(body)).rejects.toMatchObject(TAKEN);
  });

  it('may be discarded and closed again and again', async () => {
    const { body } = await answer();
    await body.discard();
    await body.discard();
    body.destroy();
    await expect(body.discard()).resolves.toBeUndefined();
  });
});

describe('a reader that comes late', () => {
  it('hears that the stream has ended', async () => {
    const stream = Readable.from([Buffer.from('x')]);
    await stream.toArray();
    await expect(new PieceReader(stream).next()).resolves.toEqual({ done: true, value: undefined });
  });

  it('hears that the stream broke, and why', async () => {
    const stream = new Readable({ read: () => undefined }).on('error', () => undefined);
    stream.destroy(new Error('reset'));
    await eventually(() => stream.closed);
    await expect(new PieceReader(stream).next()).rejects.toThrow('reset');
  });

  it('hears that the stream was closed', async () => {
    const stream = new Readable({ read: () => undefined });
    stream.destroy();
    await eventually(() => stream.closed);
    await expect(new PieceReader(stream).next()).rejects.toThrow('the body was closed');
  });
});
