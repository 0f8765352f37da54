import { describe, expect, it } from 'vitest';
import { TartletError } from '../../../src/errors.ts';
import type { BlobSource } from '../../../src/registry/client.ts';
import { Repository } from '../../../src/names/repository.ts';
import type { Answer, Script } from '../../support/scripted-registry.ts';
import { basicValue, blobOf, clientFor, password, scripted, tokenService } from '../world.ts';

const BLOB = blobOf(600);
const DIGEST = BLOB.digest.toString();
const START = 'POST /v2/a/b/blobs/uploads/';
const HEAD = `HEAD /v2/a/b/blobs/${DIGEST}`;
const CLOSING = `digest=${encodeURIComponent(DIGEST)}`;

/** A source that can be opened again and counts how often it was. */
function source(): BlobSource & { opened: [number, number][] } {
  const opened: [number, number][] = [];
  return {
    ...BLOB,
    opened,
    open: (from, to) => {
      opened.push([from, to]);
      return BLOB.bytes.subarray(from, to);
    },
  };
}

const session = (location = '/up/1'): Answer => ({ status: 202, headers: { location } });

async function accepting(routes: Record<string, Script>, options?: Parameters<typeof clientFor>[1]) {
  const registry = await scripted({ [START]: session(), ...routes });
  return { registry, ...clientFor(registry, options) };
}

describe('uploading in one PUT', () => {
  it('starts with an empty POST and sends the whole without Content-Range', async () => {
    const { client, registry } = await accepting({ 'PUT /up/1': { status: 201 } });
    await client.uploadBlob(source());
    expect(registry.log).toEqual(['POST /v2/a/b/blobs/uploads/', `PUT /up/1?${CLOSING}`]);
    expect(registry.requests[0]?.headers['content-length']).toBe('0');
    expect(registry.requests[1]?.headers).toMatchObject({
      'content-length': '600',
      'content-type': 'application/octet-stream',
    });
    expect(registry.requests[1]?.headers['content-range']).toBeUndefined();
    expect(registry.requests[1]?.body).toEqual(BLOB.bytes);
  });

  it('sends an empty blob (tart-cli §7 #45)', async () => {
    const { client, registry } = await accepting({ 'PUT /up/1': { status: 201 } });
    const empty = blobOf(0);
    await client.uploadBlob({ ...empty, open: () => empty.bytes }, { chunkBytes: 100 });
    expect(registry.requests[1]?.headers['content-length']).toBe('0');
  });

  it('streams pieces and tells how far it is', async () => {
    const { client, registry } = await accepting({ 'PUT /up/1': { status: 201 } });
    const pieces: number[] = [];
    await client.uploadBlob(
      {
        ...BLOB,
        async *open() {
          for (let at = 0; at < 600; at += 200) yield BLOB.bytes.subarray(at, at + 200);
        },
      },
      { onBytes: (bytes) => pieces.push(bytes) },
    );
    expect(pieces).toEqual([200, 200, 200]);
    expect(registry.requests[1]?.body).toEqual(BLOB.bytes);
  });

  it.each([200, 202, 204])('takes %i for done when the blob is there (Q9)', async (status) => {
    const { client, registry } = await accepting({ 'PUT /up/1': { status }, [HEAD]: {} });
    await client.uploadBlob(source());
    expect(registry.log).toEqual([START, `PUT /up/1?${CLOSING}`, HEAD]);
  });

  it.each([200, 202, 204])('does not take %i for done when the blob is not there', async (status) => {
    const { client } = await accepting({ 'PUT /up/1': { status }, [HEAD]: { status: 404 } });
    await expect(client.uploadBlob(source())).rejects.toMatchObject({
      code: 'UPLOAD_LOST',
      message: expect.stringContaining(`answered ${status} to blob ${DIGEST}, and does not have it`) as string,
    });
  });

  it('passes the error of a source on as it is', async () => {
    const { client } = await accepting({ 'PUT /up/1': { drop: true } });
    const broken: BlobSource = {
      ...BLOB,
      async *open() {
        yield BLOB.bytes.subarray(0, 10);
        throw new TartletError('DISK_IO', 'the disk is gone');
      },
    };
    await expect(client.uploadBlob(broken)).rejects.toMatchObject({ code: 'DISK_IO' });
  });

  it.each([
    ['while it is opened', false],
    ['in its middle', true],
  ])('an exception of our own %s is no fault of the network: it is told at once (P11)', async (_when, begins) => {
    const { client, clock } = await accepting({ 'PUT /up/1': { drop: true } });
    let opened = 0;
    const mistaken: BlobSource = {
      ...BLOB,
      open: () => {
        opened += 1;
        const fail = (): never => Buffer.alloc(1).readUInt32LE(9) as never;
        return begins
          ? (async function* pieces() {
              yield BLOB.bytes.subarray(0, 10);
              fail();
            })()
          : fail();
      },
    };
    await expect(client.uploadBlob(mistaken)).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('cannot read what is to be sent') as string,
      facts: { retryable: false },
    });
    expect([opened, clock.slept]).toEqual([1, []]);
  });

  it('stops at once when it is aborted, and tells the registry (P7)', async () => {
    const { client, registry } = await accepting({ 'PUT /up/1': {}, 'DELETE /up/1': { status: 204 } });
    const abort = new AbortController();
    const reason = new Error('stop it');
    const endless: BlobSource = {
      ...BLOB,
      async *open() {
        yield BLOB.bytes.subarray(0, 10);
        abort.abort(reason);
        await new Promise<never>(() => {});
      },
    };
    await expect(client.uploadBlob(endless, { signal: abort.signal })).rejects.toBe(reason);
    expect(registry.log.at(-1)).toBe('DELETE /up/1');
  });
});

describe('the address of an upload (Q6)', () => {
  it.each([
    ['relative', 'u1', '/v2/a/b/blobs/uploads/u1', `?${CLOSING}`],
    ['a path', '/up', '/up', `?${CLOSING}`],
    ['with a state that must not change', '/up?_state=a%2Bb%2Fc%3D&x', '/up', `?_state=a%2Bb%2Fc%3D&x&${CLOSING}`],
    ['with an empty query', '/up?', '/up', `?${CLOSING}`],
    ['with a fragment', '/up?s=1#frag', '/up', `?s=1&${CLOSING}`],
  ])('may be %s', async (_title, location, path, query) => {
    const { client, registry } = await accepting({ [START]: session(location), [`PUT ${path}`]: { status: 201 } });
    await client.uploadBlob(source());
    expect(registry.log[1]).toBe(`PUT ${path}${query}`);
  });

  it('may have lost its port behind a proxy', async () => {
    const { client, registry } = await accepting({ 'PUT /v2/up': { status: 201 } });
    registry.on(START, session(`http://127.0.0.1/v2/up`));
    await client.uploadBlob(source());
    expect(registry.log[1]).toBe(`PUT /v2/up?${CLOSING}`);
  });

  it('on another origin gets the bytes but no credentials (S12)', async () => {
    const storage = await scripted({ 'PUT /bucket': { status: 201 } });
    const registry = await scripted({
      [START]: ({ headers }) =>
        headers['authorization'] === basicValue()
          ? session(`${storage.origin}/bucket?sig=1`)
          : { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } },
    });
    // Another port of the same host is another origin; plain HTTP there is refused unless the registry itself has no
    // TLS.
    const { client } = clientFor(registry, { credentials: password() });
    await expect(client.uploadBlob(source())).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
    expect(storage.requests).toHaveLength(0);
  });

  it.each(['', undefined])('must be there: %j (Q7)', async (location) => {
    const { client } = await accepting({
      [START]: { status: 202, headers: location === undefined ? {} : { location } },
    });
    await expect(client.uploadBlob(source())).rejects.toMatchObject({
      code: 'UPLOAD_REJECTED',
      message: expect.stringContaining('gave no upload address') as string,
    });
  });

  it('may be missing in the last answer (Q7) (tart-cli §7 #45)', async () => {
    const { client } = await accepting({ 'PUT /up/1': { status: 201, headers: {} } });
    await expect(client.uploadBlob(source())).resolves.toBeUndefined();
  });
});

describe('uploading in parts', () => {
  const parts: Record<string, Script> = {
    'PATCH /up/1': { status: 202, headers: { location: '/up/2?s=%2B', range: '0-199' } },
    'PATCH /up/2': { status: 202, headers: { location: '/up/3', range: '0-199' } },
    'PUT /up/3': { status: 201 },
  };

  it('sends the last part with the PUT, and does not steer by Range (Q10)', async () => {
    const { client, registry } = await accepting(parts);
    await client.uploadBlob(source(), { chunkBytes: 250 });
    expect(registry.requests.map(({ method, path, headers }) => [method, path, headers['content-range']])).toEqual([
      ['POST', '/v2/a/b/blobs/uploads/', undefined],
      ['PATCH', '/up/1', '0-249'],
      ['PATCH', '/up/2?s=%2B', '250-499'],
      ['PUT', `/up/3?${CLOSING}`, '500-599'],
    ]);
    expect(Buffer.concat(registry.requests.map(({ body }) => body))).toEqual(BLOB.bytes);
  });

  it.each([201, 204])('takes %i for a part (Q9, openai/tart#273)', async (status) => {
    const { client } = await accepting({ 'PATCH /up/1': { status }, 'PUT /up/1': { status: 201 } });
    await expect(client.uploadBlob(source(), { chunkBytes: 300 })).resolves.toBeUndefined();
  });

  it.each([400, 404, 405, 413, 416])(
    'goes over to one PUT when the first part is refused with %i, and stays there (Q13)',
    async (status) => {
      const { client, registry } = await accepting({ 'PATCH /up/1': [{ status }], 'PUT /up/1': { status: 201 } });
      await client.uploadBlob(source(), { chunkBytes: 250 });
      await client.uploadBlob(source(), { chunkBytes: 250 });
      expect(registry.requests.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'POST', 'PUT', 'POST', 'PUT']);
    },
  );

  it('makes its parts as large as the registry wants them (Q11)', async () => {
    const { client, registry } = await accepting({ ...parts, 'PUT /up/2': { status: 201 } });
    registry.on(START, { status: 202, headers: { location: '/up/1', 'oci-chunk-min-length': '400' } });
    await client.uploadBlob(source(), { chunkBytes: 250 });
    expect(registry.requests.map(({ headers }) => headers['content-range'])).toEqual([undefined, '0-399', '400-599']);
  });

  it.each(['1000000000000', '-5', 'many', '0.5'])('does not obey a minimum of %j (Q11)', async (minimum) => {
    const { client, registry } = await accepting(parts);
    registry.on(START, { status: 202, headers: { location: '/up/1', 'oci-chunk-min-length': minimum } });
    await client.uploadBlob(source(), { chunkBytes: 250 });
    expect(registry.requests).toHaveLength(4);
  });

  it('refuses to go on when neither way works', async () => {
    const { client } = await accepting({ 'PATCH /up/1': { status: 405 }, 'PUT /up/1': { status: 413 } });
    await expect(client.uploadBlob(source(), { chunkBytes: 250 })).rejects.toMatchObject({
      code: 'UPLOAD_REJECTED',
      message: expect.stringContaining('more than it takes in one request') as string,
    });
  });
});

describe('a blob that is too large for one PUT', () => {
  it('goes up in parts of 16 MiB, and so do the blobs after it (Q12)', async () => {
    const blob = blobOf(20 * 1024 * 1024);
    const { client, registry } = await accepting({
      'PUT /up/1': (_request, count) => ({ status: count === 1 ? 413 : 201 }),
      'PATCH /up/1': { status: 202 },
    });
    const large = { ...blob, open: (from: number, to: number) => blob.bytes.subarray(from, to) };
    await client.uploadBlob(large);
    await client.uploadBlob(large);
    const inParts = ['POST', 'PATCH', 'PUT'];
    expect(registry.requests.map(({ method }) => method)).toEqual(['POST', 'PUT', ...inParts, ...inParts]);
    expect(registry.requests[3]?.headers['content-range']).toBe('0-16777215');
    const sent = registry.requests.slice(3, 5).map(({ body }) => body);
    expect(Buffer.concat(sent).equals(blob.bytes)).toBe(true);
  });

  const MIB = 1024 * 1024;

  /** A proxy that takes so many bytes in one request. */
  const taking = (most: number): Record<string, Script> => ({
    'PUT /up/1': ({ body }) => ({ status: body.length > most ? 413 : 201 }),
    'PATCH /up/1': ({ body }) => ({ status: body.length > most ? 413 : 202 }),
  });

  it('goes up in the largest parts that are taken, and so do the blobs after it, of all repositories (Q12)', async () => {
    const blob = blobOf(5 * MIB);
    const { client, registry } = await accepting(taking(MIB));
    registry.on('POST /v2/c/d/blobs/uploads/', session());
    const large = { ...blob, open: (from: number, to: number) => blob.bytes.subarray(from, to) };
    await client.uploadBlob(large);
    const tried = registry.requests.filter(({ method }) => method !== 'POST').map(({ body }) => body.length / MIB);
    expect(tried).toEqual([5, 4, 1, 1, 1, 1, 1]);
    registry.requests.length = 0;
    await client.sibling(Repository.parse('c/d')).uploadBlob(large);
    expect(registry.requests.map(({ body }) => body.length / MIB)).toEqual([0, 1, 1, 1, 1, 1]);
    expect(Buffer.concat(registry.requests.map(({ body }) => body)).equals(blob.bytes)).toBe(true);
  });

  it('tells the others how much is taken, and hears it from them', async () => {
    const blob = blobOf(2 * MIB);
    const told: number[] = [];
    const { client, registry } = await accepting(taking(300 * 1024), { onPartLimit: (bytes) => told.push(bytes) });
    await client.uploadBlob({ ...blob, open: (from, to) => blob.bytes.subarray(from, to) });
    expect([told, client.partBytes]).toEqual([[MIB, 256 * 1024], 256 * 1024]);
    const other = clientFor(registry, { partBytes: MIB }).client;
    other.limitParts(256 * 1024);
    expect([other.limitParts(MIB), other.partBytes]).toEqual([false, 256 * 1024]);
  });

  it('that is still too large in the smallest parts names the setting (Q12)', async () => {
    const blob = blobOf(200_000);
    const { client, registry } = await accepting(taking(1000));
    await expect(
      client.uploadBlob({ ...blob, open: (from, to) => blob.bytes.subarray(from, to) }),
    ).rejects.toMatchObject({
      code: 'UPLOAD_REJECTED',
      facts: {
        status: 413,
        next: { kind: 'raise-request-limit', host: registry.authority },
      },
    });
  });
});

describe('the next step follows from what was said', () => {
  const errors = (code: string, message: string, detail?: unknown): string =>
    JSON.stringify({ errors: [{ code, message, detail }] });

  it.each([
    [
      403,
      errors('DENIED', 'adding 1 GiB would exceed the storage quota of project x'),
      'make-room-on-registry',
      /quota of project x/,
    ],
    [
      403,
      '<html><head><title>Blocked by policy</title></head></html>',
      'ask-firewall-operator',
      /an HTML page: Blocked by policy/,
    ],
    [
      404,
      errors('NAME_UNKNOWN', 'repository unknown', { name: 'a/b' }),
      'create-repository',
      /repository unknown \(\{"name":"a\/b"\}\)/,
    ],
    [403, errors('DENIED', 'no'), 'log-in-as-another', /DENIED: no/],
    [507, '', 'make-room-on-registry', /it has no space left/],
    [400, errors('SIZE_INVALID', 'no', 'token=abc\u001b[31m\nsecret'), undefined, /no \(token=… secret\)/],
  ])('%i %s', async (status, body, kind, says) => {
    const { client } = await accepting({ [START]: { status, body } }, { change: { attempts: 1 } });
    const error: unknown = await client.uploadBlob(source()).catch((failure: unknown) => failure);
    if (!(error instanceof TartletError)) throw error;
    expect(error.message).toMatch(says);
    expect(error.facts.next?.kind).toBe(kind);
  });
});

describe('an upload that breaks', () => {
  it('begins again when the answer that opens it is lost (N58)', async () => {
    const { client, registry } = await accepting({
      [START]: [{ drop: true }, session('/up/2')],
      'PUT /up/2': { status: 201 },
    });
    await client.uploadBlob(source());
    expect(registry.log).toEqual([START, START, `PUT /up/2?${CLOSING}`]);
  });

  it('is done when only the last answer was lost (N59)', async () => {
    const { client, registry } = await accepting({
      'PUT /up/1': [{ drop: true }],
      [HEAD]: { headers: { 'content-length': '600' } },
    });
    await client.uploadBlob(source());
    expect(registry.log).toEqual([START, `PUT /up/1?${CLOSING}`, HEAD]);
  });

  it('is sent again in a new session when the registry has nothing (N60)', async () => {
    const { client, registry } = await accepting({
      'PUT /up/1': [{ drop: true }, { status: 201 }],
      [HEAD]: { status: 404 },
    });
    const blob = source();
    let sum = 0;
    await client.uploadBlob(blob, { onBytes: (bytes) => (sum += bytes) });
    expect(registry.requests.map(({ method }) => method)).toEqual(['POST', 'PUT', 'HEAD', 'POST', 'PUT']);
    expect(blob.opened).toEqual([
      [0, 600],
      [0, 600],
    ]);
    expect(sum).toBe(600);
  });

  it('gets a new session when its own has vanished (Q14)', async () => {
    const unknown: Answer = { status: 404, body: '{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}' };
    const { client, registry } = await accepting({ 'PUT /up/1': [unknown, { status: 201 }], [HEAD]: { status: 404 } });
    await client.uploadBlob(source());
    expect(registry.requests.filter(({ method }) => method === 'POST')).toHaveLength(2);
  });

  it('is lost when every session vanishes', async () => {
    const { client } = await accepting({ 'PUT /up/1': { status: 404 }, [HEAD]: { status: 404 } });
    await expect(client.uploadBlob(source())).rejects.toMatchObject({ code: 'UPLOAD_LOST' });
  });

  it('is tried twice when bytes were damaged on the way (Q15)', async () => {
    const invalid: Answer = { status: 400, body: '{"errors":[{"code":"DIGEST_INVALID"}]}' };
    const { client, registry } = await accepting({ 'PUT /up/1': [invalid, invalid], [HEAD]: { status: 404 } });
    await expect(client.uploadBlob(source())).rejects.toMatchObject({
      code: 'UPLOAD_REJECTED',
      facts: { found: 'DIGEST_INVALID' },
    });
    expect(registry.requests.filter(({ method }) => method === 'PUT')).toHaveLength(2);
  });

  it('waits when the registry is busy, and sends the same bytes again', async () => {
    const { client, registry, clock } = await accepting({
      'PUT /up/1': [{ status: 503, headers: { 'retry-after': '2' } }, { status: 201 }],
    });
    await client.uploadBlob(source());
    expect(clock.slept).toEqual([2250]);
    expect(registry.requests[2]?.body).toEqual(BLOB.bytes);
  });

  it.each([400, 403])('is final after %i', async (status) => {
    const { client, registry } = await accepting({ 'PUT /up/1': { status } });
    await expect(client.uploadBlob(source())).rejects.toMatchObject({ facts: { status } });
    expect(registry.requests).toHaveLength(2);
  });

  it('sends the body again when the token expired (N33)', async () => {
    const tokens = await tokenService();
    const { client, registry } = await accepting({
      [START]: ({ headers }) =>
        headers['authorization'] === undefined ? tokens.challenge('repository:a/b:pull,push') : session(),
      'PUT /up/1': ({ headers }) =>
        headers['authorization'] === 'Bearer token-2' ? { status: 201 } : tokens.challenge(),
    });
    await client.uploadBlob(source());
    expect(registry.requests.at(-1)?.body).toEqual(BLOB.bytes);
    expect(tokens.requests).toHaveLength(2);
  });

  it('follows a redirect with the body (N49)', async () => {
    const { client, registry } = await accepting({
      'PUT /up/1': { status: 307, headers: { location: '/moved' } },
      'PUT /moved': { status: 201 },
    });
    await client.uploadBlob(source());
    expect(registry.requests.at(-1)?.body).toEqual(BLOB.bytes);
  });
});

describe('mounting a blob (Q8)', () => {
  it('asks with both names, and confirms', async () => {
    const registry = await scripted({ [START]: { status: 201 }, [HEAD]: { headers: { 'content-length': '600' } } });
    expect(await clientFor(registry).client.mountBlob(BLOB, Repository.parse('c/d'))).toBe(true);
    expect(registry.log[0]).toBe(`${START}?mount=${encodeURIComponent(DIGEST)}&from=c%2Fd`);
  });

  it('does not believe a 201 for a blob that is not there', async () => {
    const registry = await scripted({ [START]: { status: 201 }, [HEAD]: { status: 404 } });
    expect(await clientFor(registry).client.mountBlob(BLOB, Repository.parse('c/d'))).toBe(false);
  });

  it('cancels the upload that 202 has begun', async () => {
    const registry = await scripted({ [START]: session(), 'DELETE /up/1': { status: 204 } });
    expect(await clientFor(registry).client.mountBlob(BLOB, Repository.parse('c/d'))).toBe(false);
    expect(registry.log[1]).toBe('DELETE /up/1');
  });

  it.each([401, 403, 404, 405])('takes %i for a no', async (status) => {
    const registry = await scripted({ [START]: { status } });
    expect(await clientFor(registry).client.mountBlob(BLOB, Repository.parse('c/d'))).toBe(false);
  });

  it('asks for the right to read the other repository', async () => {
    const tokens = await tokenService();
    const registry = await scripted({
      [START]: ({ headers }) =>
        headers['authorization'] === undefined ? tokens.challenge('repository:a/b:pull,push') : { status: 404 },
    });
    await clientFor(registry).client.mountBlob(BLOB, Repository.parse('c/d'));
    expect(tokens.queries[0]).toContainEqual(['scope', 'repository:c/d:pull']);
  });
});
