import { gzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { listVms } from '../../src/vm/listing.ts';
import { eventually } from '../support/real-process.ts';
import { atFirst, blobRoute, honest, manifestRoute } from '../support/scripted-image.ts';
import type { Answer, Handler, ScriptedRegistry } from '../support/scripted-registry.ts';
import { sha256, storedStream, tinyImage } from '../support/tart-image.ts';
import type { FaultId } from './catalogue.ts';
import { row } from './row.ts';
import { REPOSITORY } from './world.ts';

const CHUNK = Buffer.alloc(200_000, 'what a disk may hold. ');
const IMAGE = tinyImage({ chunks: [CHUNK, Buffer.alloc(4096, 'x')] });
const BLOB = storedStream(CHUNK);
const ROUTE = blobRoute(REPOSITORY, sha256(BLOB));
const SIZE = { 'content-length': String(BLOB.length) };
const HALF = BLOB.subarray(0, 100_000);

/**
 * What the registry does with the first requests for the large chunk; afterwards it is honest, and the pull must
 * succeed by itself.
 */
const PASSING: readonly [FaultId, string, ...(Answer | Handler)[]][] = [
  ['N13', 'stalls', { headers: SIZE, body: HALF, ending: 'stall' }],
  ['N14', 'is closed before its first byte', { headers: SIZE, ending: 'fin' }],
  ['N14', 'is closed in its middle', { headers: SIZE, body: HALF, ending: 'fin' }],
  ['N14', 'is closed before its last byte', { headers: SIZE, body: BLOB.subarray(0, -1), ending: 'fin' }],
  ['N15', 'is reset', { headers: SIZE, body: HALF, ending: 'rst' }],
  ['N16', 'is announced too short', { body: HALF }],
  ['N17', 'is announced too long', { body: Buffer.concat([BLOB, Buffer.alloc(1)]) }],
  ['N19', 'ends early without a length', { body: HALF, coding: 'chunked' }],
  ['N21', 'has no length but its end', { raw: Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), HALF]) }],
  ['N22', 'has two lengths', { raw: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab' }],
  ['N29', 'comes from a storage that is busy', { status: 503, body: '<Error><Code>SlowDown</Code></Error>' }],
  ['N30', 'meets a gateway that fails', { status: 502 }, { status: 522 }, { status: 500 }],
  ['N37', 'is not there yet', { status: 404 }, { status: 404 }],
  ['N39', 'breaks, and its rest is refused', { headers: SIZE, body: HALF, ending: 'fin' }, { status: 416 }],
  ['N40', 'breaks, and comes whole again', { headers: SIZE, body: HALF, ending: 'fin' }, { body: BLOB }],
  [
    'N41',
    'breaks, and another part comes',
    { headers: SIZE, body: HALF, ending: 'fin' },
    { status: 206, headers: { 'content-range': `bytes 0-99999/${BLOB.length}` }, body: HALF },
  ],
  [
    'N44',
    'breaks, and is another object when it goes on',
    { headers: SIZE, body: HALF, ending: 'fin' },
    (request) => honest(Buffer.alloc(BLOB.length, 'other'), request),
  ],
  ['N50', 'is compressed once more', { headers: { 'content-encoding': 'gzip' }, body: gzipSync(BLOB) }],
  ['Q28', 'is empty', { body: '' }],
  ['C1', 'has a flipped bit', { body: flipped(BLOB) }],
];

function flipped(bytes: Uint8Array): Buffer {
  const copy = Buffer.from(bytes);
  copy[50_000] = (copy[50_000] ?? 0) ^ 4;
  return copy;
}

for (const [id, what, ...answers] of PASSING) {
  row(id, `a pull repairs by itself when a chunk ${what}`, async (world) => {
    const registry = await world.serve(IMAGE);
    registry.on(ROUTE, atFirst(BLOB, ...answers));
    expect(await world.pull(registry, { image: IMAGE })).toMatchObject({ status: 'pulled' });
  });
}

/** What the registry does for ever, and what the user is told; the same pull succeeds once it is over. */
const LASTING: readonly [FaultId, string, Answer, { code: string; says: RegExp }][] = [
  [
    'N18',
    'has a byte too many',
    { body: [BLOB, 'x'], coding: 'chunked' },
    { code: 'SIZE_MISMATCH', says: /more than/ },
  ],
  ['N31', 'is refused', { status: 451, body: 'by order' }, { code: 'REG_REJECTED', says: /answered 451 \(by order\)/ }],
  ['N35', 'is forbidden', { status: 403 }, { code: 'AUTH_DENIED', says: /does not let us pull org\/vm/ }],
  ['N37', 'is not there', { status: 404 }, { code: 'NOT_FOUND', says: /cannot read blob/ }],
  ['S15', 'is another one', { body: flipped(BLOB) }, { code: 'DIGEST_MISMATCH', says: /is damaged/ }],
];

for (const [id, what, answer, { code, says }] of LASTING) {
  row(id, `a pull says so when a chunk ${what}, and keeps what it has`, async (world) => {
    const registry = await world.serve(IMAGE);
    registry.on(ROUTE, answer);
    await expect(world.pull(registry, { image: IMAGE })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(says) as string,
    });
    expect((await listVms(world.session(), 'oci')).map(({ name }) => name)).not.toContain(
      `${registry.authority}/${REPOSITORY}:latest`,
    );
  });
}

row(
  'N28',
  'eight chunks that are all refused at first come in the end, and only one is asked for first',
  async (world) => {
    const chunks = Array.from({ length: 8 }, (_, index) => Buffer.alloc(5000 + index, `chunk ${index} `));
    const image = tinyImage({ chunks });
    const registry = await world.serve(image);
    let refused = 0;
    for (const chunk of chunks) {
      const bytes = storedStream(chunk);
      registry.on(blobRoute(REPOSITORY, sha256(bytes)), (request) => {
        if (refused >= 8) return honest(bytes, request);
        refused += 1;
        return { status: 429, headers: { 'retry-after': '1' } };
      });
    }
    await world.pull(registry, { image, concurrency: 8 });
    expect(world.said.filter((line) => line.includes('answered 429'))).toHaveLength(8);
    // Manifest, config, NVRAM, and each chunk twice.
    expect(registry.requests).toHaveLength(3 + 16);
  },
);

row('N33', 'a token that expires between chunks is replaced, once for all of them', async (world) => {
  const { registry, tokens } = await withTokens(world.registry.bind(world), await world.serve(IMAGE));
  world.secret('token-1');
  await world.pull(registry, { image: IMAGE });
  expect(tokens()).toBe(2);
});

/** Puts a token service in front of the routes of a registry: the first token is good for three requests. */
async function withTokens(start: () => Promise<ScriptedRegistry>, registry: ScriptedRegistry) {
  const service = await start();
  let count = 0;
  service.on('GET /token', () => {
    count += 1;
    return { body: JSON.stringify({ token: `token-${count}`, expires_in: 300 }) };
  });
  const served = new Map<string, number>();
  registry.guard((request) => {
    const sent = request.headers['authorization'] ?? '';
    const uses = (served.get(sent) ?? 0) + 1;
    served.set(sent, uses);
    if (sent === `Bearer token-${count}` && (count > 1 || uses <= 3)) return undefined;
    const scope = `repository:${REPOSITORY}:pull`;
    return {
      status: 401,
      headers: { 'www-authenticate': `Bearer realm="${service.origin}/token",service="x",scope="${scope}"` },
    };
  });
  return { registry, tokens: () => count };
}

row('Q22', 'warnings of the registry are neither obeyed nor printed', async (world) => {
  const registry = await world.serve(IMAGE);
  const warning = Array.from(
    { length: 40 },
    (_, index) => `299 - "${world.secret(`upgrade now ${index}`)}${'!'.repeat(900)}"`,
  );
  registry.on(manifestRoute(REPOSITORY, 'latest'), {
    headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json', warning },
    body: IMAGE.manifest,
  });
  expect((await world.run('pull', `${registry.authority}/${REPOSITORY}:latest`)).exitCode).toBe(0);
});

row('Q26', 'a tag that moves during the pull leads to the image that it began with', async (world) => {
  const newer = tinyImage({ chunks: [Buffer.alloc(9000, 'newer')] });
  const registry = await world.serve(IMAGE);
  registry.on(ROUTE, (request) => {
    registry.on(manifestRoute(REPOSITORY, 'latest'), { body: newer.manifest });
    return honest(BLOB, request);
  });
  expect((await world.pull(registry, { image: IMAGE })).digest.toString()).toBe(IMAGE.digest);
});

row('P10', 'a heap of 40 MB is enough for an image that is larger', async (world) => {
  const large = tinyImage({
    chunks: Array.from({ length: 4 }, (_, index) => Buffer.alloc(12 * 1024 * 1024, `${index} tartlet `)),
  });
  const registry = await world.serve(large);
  const name = `${registry.authority}/${REPOSITORY}:latest`;
  const ran = await world.workplace.shell(`NODE_OPTIONS=--max-old-space-size=40 $TARTLET pull ${name}`);
  expect(world.heard(ran).exitCode, ran.stderr).toBe(0);
});

for (const year of ['1970', '2100']) {
  row('P25', `a clock that says ${year} changes nothing but dates`, async (world) => {
    const registry = await world.serve(IMAGE);
    registry.on(ROUTE, atFirst(BLOB, { status: 503 }, { headers: SIZE, body: HALF, ending: 'fin' }));
    const session = { now: () => new Date(`${year}-01-01T00:00:00Z`) };
    expect(await world.pull(registry, { image: IMAGE, session })).toMatchObject({ status: 'pulled' });
  });
}

row('N53', 'with few file descriptors a pull succeeds, or says what is missing', async (world) => {
  const registry = await world.serve(IMAGE);
  const name = `${registry.authority}/${REPOSITORY}:latest`;
  for (const most of [34, 40, 64]) {
    const ran = world.heard(await world.workplace.shell(`ulimit -n ${most}; $TARTLET pull ${name}`));
    if (ran.exitCode !== 0) expect(ran.stderr).toMatch(/too many open files|EMFILE/);
    else break;
  }
  expect(world.ran.at(-1)?.exitCode).toBe(0);
});

row(
  'P30',
  'pulls that are killed at random, several at once, leave a home that the next one finishes',
  async (world) => {
    const chunks = Array.from({ length: 12 }, (_, index) => Buffer.alloc(300_000 + index, `${index} of twelve `));
    const image = tinyImage({ chunks });
    const registry = await world.serve(image);
    const relay = await world.relay(registry);
    for (let round = 0; round < 5; round += 1) {
      relay.rule = (connection) => ({ bytes: 100_000 * (1 + ((connection * 7) % 9)), end: 'stall' });
      const pulls = ['latest', 'latest', image.digest].map((reference) => {
        const separator = reference === image.digest ? '@' : ':';
        return world.workplace.start('pull', `127.0.0.1:${relay.port}/${REPOSITORY}${separator}${reference}`);
      });
      const before = relay.delivered;
      // Each round is killed somewhat later.
      await eventually('some of it came', () => relay.delivered - before > round * 150_000);
      for (const pull of pulls) pull.kill('SIGKILL');
      await Promise.all(pulls.map(async (pull) => pull.ended));
      expect((await world.run('list', '-q')).exitCode).toBe(0);
    }
    relay.rule = () => undefined;
    expect(await world.pull(relay, { image })).toMatchObject({ status: 'pulled' });
  },
);
