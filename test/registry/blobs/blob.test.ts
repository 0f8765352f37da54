import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Answer, RecordedRequest, Script } from '../../support/scripted-registry.ts';
import { blobOf, clientFor, collect, digestOf, eventually, scripted } from '../world.ts';

const BLOB = blobOf(512);
const PATH = `/v2/a/b/blobs/${BLOB.digest.toString()}`;
const GET = `GET ${PATH}`;
const SIZE = { 'content-length': '512' };

/** An honest answer to a request, ranged or not. */
function honest({ headers }: RecordedRequest): Answer {
  const range = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '');
  if (range === null) return { body: BLOB.bytes };
  const [first, last] = [Number(range[1]), Number(range[2])];
  return {
    status: 206,
    headers: { 'content-range': `bytes ${first}-${last}/512` },
    body: BLOB.bytes.subarray(first, last + 1),
  };
}

/** Answers the first requests as told, and honestly from then on. */
function atFirst(...answers: Answer[]): Script {
  return (request, count) => answers[count - 1] ?? honest(request);
}

/** The two ways that bodies come: each behaves like the other, but for the memory that pieces are in. */
describe.each([
  ['through the library', false],
  ['straight from the socket', true],
])('%s', (_way, transientChunks) => {
  async function serving(script: Script, change?: Parameters<typeof clientFor>[1]) {
    const registry = await scripted({ [GET]: script });
    const { client, clock } = clientFor(registry, change);
    const blob = client.blob.bind(client);
    client.blob = (descriptor, options) => blob(descriptor, { transientChunks, ...options });
    return { registry, client, clock, ranges: () => registry.requests.map(({ headers }) => headers['range']) };
  }

  describe('reading a blob', () => {
    it('asks for a whole blob without a range', async () => {
      const { client, ranges } = await serving(honest);
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
      expect(ranges()).toEqual([undefined]);
    });

    it.each([
      [{ from: 100 }, 'bytes=100-511', 100, 512],
      [{ to: 7 }, 'bytes=0-6', 0, 7],
      [{ from: 3, to: 4 }, 'bytes=3-3', 3, 4],
    ])('asks for %j by a closed range (N43)', async (options, range, from, to) => {
      const { client, ranges } = await serving(honest);
      expect(await collect(client.blob(BLOB, options))).toEqual(BLOB.bytes.subarray(from, to));
      expect(ranges()).toEqual([range]);
    });

    it.each([{ from: 512 }, { from: 9, to: 9 }])(
      'asks for nothing when nothing is missing: %j (N38)',
      async (options) => {
        const { client, registry } = await serving([]);
        expect(await collect(client.blob(BLOB, options))).toHaveLength(0);
        expect(registry.requests).toHaveLength(0);
      },
    );

    it('reads an empty blob without a request', async () => {
      const registry = await scripted();
      expect(await collect(clientFor(registry).client.blob(blobOf(0)))).toHaveLength(0);
    });

    it('tells how many bytes came', async () => {
      const { client } = await serving(atFirst({ headers: SIZE, body: BLOB.bytes.subarray(0, 200), ending: 'fin' }));
      let seen = 0;
      await collect(client.blob(BLOB, { onBytes: (bytes) => (seen += bytes) }));
      expect(seen).toBe(512);
    });
  });

  describe('a body that breaks', () => {
    it.each([0, 1, 256, 511])('is continued by a closed range after FIN at byte %i (N14)', async (cut) => {
      const { client, ranges } = await serving(
        atFirst({ headers: SIZE, body: BLOB.bytes.subarray(0, cut), ending: 'fin' }),
      );
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
      expect(ranges()).toEqual([undefined, cut === 0 ? undefined : `bytes=${cut}-511`]);
    });

    it('is continued after RST (N15)', async () => {
      const { client } = await serving(atFirst({ headers: SIZE, body: BLOB.bytes.subarray(0, 100), ending: 'rst' }));
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
    });

    it('is continued when it stalls (N13)', async () => {
      const { client, ranges } = await serving(
        atFirst({ headers: SIZE, body: BLOB.bytes.subarray(0, 100), ending: 'stall' }),
        {
          change: { bodyIdleMs: 50 },
        },
      );
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
      expect(ranges()).toEqual([undefined, 'bytes=100-511']);
    });

    it.each([
      ['ends early but cleanly (N19)', 'end'],
      ['is cut between chunks (N20)', 'fin'],
    ] as const)('is continued when chunked coding %s', async (_title, ending) => {
      const { client } = await serving(atFirst({ body: BLOB.bytes.subarray(0, 99), coding: 'chunked', ending }));
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
    });

    it('is continued when chunked coding is cut inside a chunk (N20)', async () => {
      const raw = Buffer.concat([
        Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n'),
        BLOB.bytes.subarray(0, 99),
      ]);
      const { client } = await serving(atFirst({ raw }));
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
    });

    it('is continued when only its end says how long it is (N21)', async () => {
      const raw = Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), BLOB.bytes.subarray(0, 99)]);
      // The socket is for bodies that tell their length: the same request is made once more, by the library.
      const { client, ranges } = await serving(atFirst(...(transientChunks ? [{ raw }, { raw }] : [{ raw }])));
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
      expect(ranges()).toEqual([...(transientChunks ? [undefined] : []), undefined, 'bytes=99-511']);
    });

    it('gives up after six attempts without progress, with longer and longer pauses', async () => {
      const { client, registry, clock } = await serving({ headers: SIZE, ending: 'fin' });
      await expect(collect(client.blob(BLOB))).rejects.toMatchObject({ code: 'NET_BROKEN' });
      expect(registry.requests).toHaveLength(6);
      expect(clock.slept).toEqual([250, 500, 1000, 2000, 4000]);
    });

    it('does not count attempts that made progress', async () => {
      const { client, registry } = await serving(
        (request) => {
          const answer = honest(request);
          const body = (answer.body as Buffer).subarray(0, 50);
          return {
            ...answer,
            headers: { ...answer.headers, 'content-length': String((answer.body as Buffer).length) },
            body,
            ending: 'fin',
          };
        },
        { change: { progressBytes: 50 } },
      );
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
      expect(registry.requests).toHaveLength(11);
    });

    it('stops at once when it is aborted', async () => {
      const { client, registry } = await serving({ headers: SIZE, body: BLOB.bytes.subarray(0, 100), ending: 'stall' });
      const abort = new AbortController();
      const reason = new Error('stop it');
      const reading = (async () => {
        for await (const piece of client.blob(BLOB, { signal: abort.signal })) {
          expect(piece).toHaveLength(100);
          abort.abort(reason);
        }
      })();
      await expect(reading).rejects.toBe(reason);
      await eventually(() => registry.openConnections === 0);
    });

    it('closes the connection when the reader leaves early (N52, S22)', async () => {
      const { client, registry } = await serving({ headers: SIZE, body: BLOB.bytes.subarray(0, 100), ending: 'stall' });
      for await (const piece of client.blob(BLOB)) {
        expect(piece).toHaveLength(100);
        break;
      }
      await eventually(() => registry.openConnections === 0);
    });
  });

  describe('a length that is wrong', () => {
    it.each([
      ['smaller (N16)', { body: BLOB.bytes.subarray(0, 10) }],
      ['larger (N17)', { body: Buffer.concat([BLOB.bytes, Buffer.from('x')]) }],
      ['zero (Q28)', { body: '' }],
    ])('is refused before reading when it is %s, after one more try', async (_title, answer) => {
      const { client, registry } = await serving(answer);
      await expect(collect(client.blob(BLOB))).rejects.toMatchObject({
        code: 'SIZE_MISMATCH',
        facts: { expected: '512' },
      });
      expect(registry.requests.map(({ connection }) => connection)).toEqual([1, 2]);
    });

    it('may be an accident (N16)', async () => {
      const { client } = await serving(atFirst({ body: 'short' }));
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
    });

    it('is never cut off: one byte too many fails the blob (N18)', async () => {
      const { client } = await serving({ body: [BLOB.bytes, 'x'], coding: 'chunked' });
      await expect(collect(client.blob(BLOB))).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    });

    it('does not matter where the connection ends when all bytes are there (N21)', async () => {
      const raw = Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), BLOB.bytes]);
      const { client } = await serving({ raw });
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
    });
  });

  describe('ranges', () => {
    const broken: Answer = { headers: SIZE, body: BLOB.bytes.subarray(0, 100), ending: 'fin' };

    it('skips to the offset when the registry ignores them, and does not ask again (N40) (tart-cli §7 #28)', async () => {
      const { client, ranges } = await serving(atFirst(broken, { body: BLOB.bytes }, { body: BLOB.bytes }));
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
      expect(await collect(client.blob(BLOB, { from: 5, to: 50 }))).toEqual(BLOB.bytes.subarray(5, 50));
      expect(ranges()).toEqual([undefined, 'bytes=100-511', undefined]);
    });

    it.each([
      ['is missing', {}],
      ['starts elsewhere', { 'content-range': 'bytes 0-411/512' }],
      ['names another total', { 'content-range': 'bytes 100-511/600' }],
      ['ends before it starts', { 'content-range': 'bytes 101-100/512' }],
      ['goes beyond what was asked', { 'content-range': 'bytes 100-512/*' }],
      ['is multipart (N42)', { 'content-type': 'multipart/byteranges; boundary=x' }],
    ])('fetches the whole when a Content-Range %s (N41)', async (_title, headers: Record<string, string>) => {
      const { client, ranges } = await serving(
        atFirst(broken, { status: 206, headers, body: BLOB.bytes.subarray(100) }),
      );
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
      expect(ranges()).toEqual([undefined, 'bytes=100-511', undefined]);
    });

    it('gives up on a registry that answers 206 to everything (N41)', async () => {
      const { client } = await serving({ status: 206, body: BLOB.bytes });
      await expect(collect(client.blob(BLOB, { from: 1 }))).rejects.toMatchObject({ code: 'RANGE_BROKEN' });
    });

    it.each(['100-511/512', 'bytes 100-511/*', 'BYTES 100-511/512'])(
      'takes %j for a range (old Nexus)',
      async (range) => {
        const { client, registry } = await serving(
          atFirst(broken, { status: 206, headers: { 'content-range': range }, body: BLOB.bytes.subarray(100) }),
        );
        expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
        expect(registry.requests).toHaveLength(2);
      },
    );

    it('accepts less than it asked for and asks for the rest (N42)', async () => {
      const { client, ranges, clock } = await serving(
        atFirst(broken, {
          status: 206,
          headers: { 'content-range': 'bytes 100-199/512' },
          body: BLOB.bytes.subarray(100, 200),
        }),
      );
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
      expect(ranges()).toEqual([undefined, 'bytes=100-511', 'bytes=200-511']);
      expect(clock.slept).toHaveLength(1);
    });

    it('fetches the whole after a 416 (N39)', async () => {
      const { client, ranges } = await serving(atFirst(broken, { status: 416 }));
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
      expect(ranges()).toEqual([undefined, 'bytes=100-511', undefined]);
    });
  });

  describe('a blob that is not served', () => {
    it('is asked for three times before it counts as missing (N37)', async () => {
      const { client, registry } = await serving({ status: 404 });
      await expect(collect(client.blob(BLOB))).rejects.toMatchObject({ code: 'NOT_FOUND' });
      expect(registry.requests).toHaveLength(3);
    });

    it('may turn up late (N37)', async () => {
      const { client } = await serving(atFirst({ status: 404 }, { status: 404 }));
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
    });

    it.each([400, 403, 404])(
      'gets a new address when the signed one answers %i, at the same byte (N36)',
      async (status) => {
        const storage = await scripted({
          'GET /one': { headers: SIZE, body: BLOB.bytes.subarray(0, 100), ending: 'fin' },
          'GET /two': { status, body: '<Error>expired</Error>' },
          'GET /three': honest,
        });
        const targets = ['one', 'two', 'three'];
        const { client, registry } = await serving((_request, count) => ({
          status: 307,
          headers: { location: `${storage.origin}/${targets[count - 1]}?sig=secret` },
        }));
        expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
        expect(registry.requests).toHaveLength(3);
        expect(storage.requests.map(({ headers }) => headers['range'])).toEqual([
          undefined,
          'bytes=100-511',
          'bytes=100-511',
        ]);
      },
    );

    it('does not take the word of a storage for that of the registry (N36, S11)', async () => {
      const storage = await scripted({
        'GET /x': { status: 401, headers: { 'www-authenticate': 'Bearer realm="http://127.0.0.1:1/token"' } },
      });
      const { client, registry } = await serving({ status: 307, headers: { location: `${storage.origin}/x` } });
      await expect(collect(client.blob(BLOB))).rejects.toMatchObject({
        code: 'REG_UNAVAILABLE',
        facts: { status: 401 },
      });
      expect(registry.requests).toHaveLength(4);
    });
  });

  describe('contents that were compressed on the way (N50)', () => {
    it('are decoded when the length is not that of the blob', async () => {
      const { client } = await serving({ headers: { 'content-encoding': 'gzip' }, body: gzipSync(BLOB.bytes) });
      expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
    });

    it('are taken as they are when the length is right', async () => {
      const gzip = gzipSync('a layer that is gzip itself');
      const blob = { digest: digestOf(gzip), size: gzip.length };
      const registry = await scripted({
        [`GET /v2/a/b/blobs/${blob.digest.toString()}`]: { headers: { 'content-encoding': 'gzip' }, body: gzip },
      });
      expect(await collect(clientFor(registry).client.blob(blob))).toEqual(gzip);
    });

    it('fail when they are cut short', async () => {
      const { client } = await serving({
        headers: { 'content-encoding': 'gzip' },
        body: gzipSync(BLOB.bytes).subarray(0, -50),
      });
      await expect(collect(client.blob(BLOB))).rejects.toMatchObject({ code: 'NET_PROTOCOL' });
    });

    it('fail when they are a bomb (S21)', async () => {
      const { client } = await serving({
        headers: { 'content-encoding': 'gzip' },
        body: gzipSync(Buffer.alloc(50_000_000)),
      });
      await expect(collect(client.blob(BLOB))).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    });
  });

  describe('fetching a small blob', () => {
    it('gives verified bytes', async () => {
      const { client } = await serving(honest);
      expect(Buffer.from(await client.fetchBlob(BLOB))).toEqual(BLOB.bytes);
    });

    it('refuses bytes of another digest (S15)', async () => {
      const wrong = Buffer.from(BLOB.bytes);
      wrong[511] = 255;
      const { client } = await serving({ body: wrong });
      await expect(client.fetchBlob(BLOB)).rejects.toMatchObject({
        code: 'DIGEST_MISMATCH',
        facts: { expected: BLOB.digest.toString(), found: digestOf(wrong).toString() },
      });
    });

    it('does not fetch what is declared too large (S20)', async () => {
      const registry = await scripted();
      await expect(clientFor(registry).client.fetchBlob({ ...BLOB, size: 80e9 })).rejects.toMatchObject({
        code: 'SIZE_MISMATCH',
      });
    });
  });

  describe('asking for a blob', () => {
    const HEAD = `HEAD ${PATH}`;

    it.each([
      ['is there', { headers: SIZE }, true],
      ['is there, without a length (Q5)', { coding: 'chunked' }, true],
      ['is there, with length 0 (Q5)', { headers: { 'content-length': '0' } }, true],
      ['has another length', { headers: { 'content-length': '10' } }, false],
      ['is not there', { status: 404 }, false],
    ])('knows that it %s', async (_title, answer, expected) => {
      const registry = await scripted({ [HEAD]: answer as Answer });
      expect(await clientFor(registry).client.blobExists(BLOB)).toBe(expected);
    });

    it.each([405, 501])('uses GET when HEAD answers %i, and remembers that (Q4)', async (status) => {
      const registry = await scripted({ [HEAD]: [{ status }], [GET]: honest });
      const { client } = clientFor(registry);
      expect(await client.blobExists(BLOB)).toBe(true);
      expect(await client.blobExists(BLOB)).toBe(true);
      expect(registry.log).toEqual([HEAD, GET, GET]);
    });

    it('uses GET when the storage refuses HEAD (Q4)', async () => {
      const storage = await scripted({ 'HEAD /x': { status: 403 }, 'GET /x': honest });
      const redirect = { status: 307, headers: { location: `${storage.origin}/x` } };
      const registry = await scripted({ [HEAD]: redirect, [GET]: redirect });
      expect(await clientFor(registry).client.blobExists(BLOB)).toBe(true);
    });

    it.each([401, 403])('takes %i of the storage for no word about our rights (N36, S11)', async (status) => {
      const storage = await scripted({ 'HEAD /x': { status }, 'GET /x': { status } });
      const redirect = { status: 307, headers: { location: `${storage.origin}/x` } };
      const registry = await scripted({ [HEAD]: redirect, [GET]: redirect });
      const asked = clientFor(registry).client.blobExists(BLOB);
      await expect(asked).rejects.toMatchObject({ code: 'REG_UNAVAILABLE', facts: { status } });
    });
  });
});
