import { describe, expect, it } from 'vitest';
import { type Endpoint, plainEndpoint } from '../../../src/endpoints/endpoint.ts';
import { type ErrorCode, type ErrorFacts, TartletError } from '../../../src/errors.ts';
import { Digest } from '../../../src/names/digest.ts';
import { Tag } from '../../../src/names/tag.ts';
import type { ManifestReference } from '../../../src/registry/manifest-reference.ts';
import { EndpointMemory } from '../../../src/registry/mirrors/endpoint-memory.ts';
import { mirrorLimits } from '../../../src/registry/mirrors/mirror-limits.ts';
import { type EndpointClient, MirroredSource } from '../../../src/registry/mirrors/mirrored-source.ts';
import { limits } from '../../../src/registry/request/limits.ts';
import { blobOf, collect } from '../world.ts';

const BLOB = blobOf(5_000_000);
const OTHERS = Array.from({ length: 4 }, (_, index) => blobOf(100 + index));
const BYTES = Buffer.from('{}');
const MANIFEST = { bytes: BYTES, mediaType: '', digest: Digest.of(BYTES) };
const TAG = { tag: Tag.parse('1') };

function failure(code: ErrorCode, facts: ErrorFacts = {}): TartletError {
  return new TartletError(code, `says ${code}`, facts);
}

/** A place that has everything, and writes down what it is asked. */
class Place implements EndpointClient {
  readonly asked: string[] = [];
  /** Ends each read of a blob after so many bytes of it with an error. */
  breaks: { readonly after: number; readonly error: TartletError }[] = [];
  /** Fails whatever it is asked. */
  error: TartletError | undefined;
  isHere = true;

  async *blob({ size }: typeof BLOB, { from = 0, to = size } = {}): AsyncGenerator<Uint8Array> {
    this.asked.push(`blob ${from}`);
    if (this.error !== undefined) throw this.error;
    const broken = this.breaks.shift();
    const bytes = size === BLOB.size ? BLOB.bytes : blobOf(size).bytes;
    yield bytes.subarray(from, Math.min(to, from + (broken?.after ?? size)));
    if (broken !== undefined) throw broken.error;
  }

  async blobExists(): Promise<boolean> {
    this.asked.push('exists');
    if (this.error !== undefined) throw this.error;
    return this.isHere;
  }

  async manifest(reference: ManifestReference) {
    this.asked.push('tag' in reference ? 'tag' : 'digest');
    if (this.error !== undefined) throw this.error;
    return MANIFEST;
  }

  async headManifest() {
    this.asked.push('head');
    return { digest: MANIFEST.digest, mediaType: '' };
  }
}

/** Three places, mirror, mirror and registry, that answer what is said; else all. */
function world(answers: readonly Endpoint['answers'][] = ['all', 'all', 'all']) {
  const places = answers.map(() => new Place());
  const [first, ...more] = places.map((client, index) => ({
    endpoint: { ...plainEndpoint(`p${index}.site`, 'a/b'), answers: answers[index] ?? 'all' },
    client,
  }));
  if (first === undefined) throw new Error('no place');
  const left: string[] = [];
  const memory = new EndpointMemory({ onLeft: (index, { code }) => left.push(`${index} ${code}`) });
  const source = new MirroredSource('ghcr.io/a/b:1', [first, ...more], memory);
  return { source, places, memory, left, asked: () => places.map(({ asked }) => asked.join(', ')) };
}

describe('a manifest', () => {
  it('comes from the first place that has it, and those before it are not asked for anything else', async () => {
    const { source, places, asked, left } = world();
    if (places[0] !== undefined) places[0].error = failure('NOT_FOUND');
    expect(await source.manifest(TAG)).toBe(MANIFEST);
    expect((await collect(source.blob(BLOB))).equals(BLOB.bytes)).toBe(true);
    expect(asked()).toEqual(['tag', 'tag, blob 0', '']);
    expect(left).toEqual(['0 NOT_FOUND']);
  });

  it('by a tag is not asked of a place that gives content alone, and blobs are', async () => {
    const { source, asked } = world(['content', 'all']);
    await source.manifest(TAG);
    await collect(source.blob(BLOB));
    await source.manifest({ digest: MANIFEST.digest });
    expect(asked()).toEqual(['blob 0, digest', 'tag']);
  });

  it('is asked for by its digest elsewhere, where a place only says what the tag leads to', async () => {
    const { source, asked } = world(['tags', 'content', 'all']);
    await source.manifest(TAG);
    await collect(source.blob(BLOB));
    expect(asked()).toEqual(['head', 'digest, blob 0', '']);
  });

  it('that is not the one that is meant leads to the next place, and the last one decides', async () => {
    const { source, asked, left } = world();
    expect(await source.manifest(TAG, { isMeant: () => false })).toBe(MANIFEST);
    expect(asked()).toEqual(['tag', 'tag', 'tag']);
    expect(left).toEqual(['0 DIGEST_MISMATCH', '1 DIGEST_MISMATCH']);
  });

  it('that nobody may be asked for is an error of the settings', async () => {
    await expect(world(['content', 'content']).source.manifest(TAG)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('is asked for nowhere else when the caller has given up, or we are at fault', async () => {
    const { source, places, asked } = world();
    if (places[0] !== undefined) places[0].error = failure('INTERNAL');
    await expect(source.manifest(TAG)).rejects.toMatchObject({ code: 'INTERNAL' });
    const aborted = AbortSignal.abort(failure('INTERRUPTED'));
    await expect(source.manifest(TAG, { signal: aborted })).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(asked().slice(1)).toEqual(['', '']);
  });

  it('from a place that is blocked is not asked for, and the error is of its own kind', async () => {
    const client = new Place();
    const endpoint = { ...plainEndpoint('ghcr.io', 'a/b'), blockedBy: '/etc/containers/registries.conf' };
    const source = new MirroredSource('ghcr.io/a/b:1', [{ endpoint, client }], new EndpointMemory());
    await expect(source.manifest(TAG)).rejects.toMatchObject({
      code: 'REG_BLOCKED',
      message: '/etc/containers/registries.conf forbids to pull from ghcr.io/a/b',
    });
    expect(client.asked).toEqual([]);
  });
});

describe('a blob', () => {
  const broken = failure('NET_BROKEN', { retryable: true });

  it('goes on with the byte where it stopped: once at the same place, then at the next', async () => {
    const { source, places, asked, left } = world();
    if (places[0] !== undefined) {
      places[0].breaks = [
        { after: 1000, error: broken },
        { after: 500, error: broken },
      ];
    }
    expect((await collect(source.blob(BLOB))).equals(BLOB.bytes)).toBe(true);
    expect(asked()).toEqual(['blob 0, blob 1000', 'blob 1500', '']);
    expect(left).toEqual(['0 NET_BROKEN']);
  });

  it('may break off often, as long as much of it comes each time', async () => {
    const { source, places, asked } = world();
    const after = 1024 * 1024;
    if (places[0] !== undefined) places[0].breaks = Array.from({ length: 4 }, () => ({ after, error: broken }));
    expect((await collect(source.blob(BLOB))).equals(BLOB.bytes)).toBe(true);
    expect(asked().slice(1)).toEqual(['', '']);
  });

  it('goes on elsewhere at once after a place that stalled', async () => {
    const { source, places, asked } = world();
    const error = failure('NET_TIMEOUT', { retryable: true });
    if (places[0] !== undefined) places[0].breaks = [{ after: 1000, error }];
    await collect(source.blob(BLOB));
    expect(asked()).toEqual(['blob 0', 'blob 1000', '']);
  });

  it('that is missing leaves a place as it is; the third in a row does not', async () => {
    const { source, places, left } = world();
    if (places[0] !== undefined) places[0].error = failure('NOT_FOUND');
    for (const other of OTHERS) await collect(source.blob(other));
    expect(places[0]?.asked).toHaveLength(3);
    expect(left).toEqual(['0 NOT_FOUND']);
  });

  it('is there when one place says so, and not when the last one says that it is not', async () => {
    const { source, places, asked } = world();
    if (places[0] !== undefined) places[0].isHere = false;
    expect(await source.blobExists(BLOB)).toBe(true);
    for (const place of places) place.isHere = false;
    expect(await source.blobExists(BLOB)).toBe(false);
    expect(asked()).toEqual(['exists, exists', 'exists, exists', 'exists']);
  });

  it('that came wrong is asked of those that gave none of it, and in the end of the registry again', async () => {
    const { source, places, asked, left } = world();
    await collect(source.blob(BLOB));
    expect(source.distrust(BLOB)).toBe(true);
    await collect(source.blob(BLOB));
    expect(source.distrust(BLOB)).toBe(true);
    await collect(source.blob(BLOB));
    expect(source.distrust(BLOB)).toBe(false);
    expect(asked()).toEqual(['blob 0', 'blob 0', 'blob 0']);
    expect(left).toEqual(['0 DIGEST_MISMATCH', '1 DIGEST_MISMATCH']);
    expect(places).toHaveLength(3);
  });

  it('of which two places gave a part each, and that is wrong, costs neither its other blobs', async () => {
    const { source, places, left, asked } = world();
    if (places[0] !== undefined) places[0].breaks = [{ after: 10, error: failure('SIZE_MISMATCH') }];
    await collect(source.blob(BLOB));
    expect(source.distrust(BLOB)).toBe(true);
    await collect(source.blob(BLOB));
    expect(asked()).toEqual(['blob 0', 'blob 10', 'blob 0']);
    expect(left).toEqual(['0 SIZE_MISMATCH']);
  });
});

it('the error of the last place is the error, with the reasons of those before it', async () => {
  const { source, places } = world();
  for (const [index, code] of (['NET_DNS', 'AUTH_DENIED', 'NOT_FOUND'] as const).entries()) {
    const place = places[index];
    if (place !== undefined) place.error = failure(code, { subject: code, next: { kind: 'check-port' } });
  }
  await expect(source.manifest(TAG)).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message:
      'ghcr.io/a/b:1 could not be had from any of 3 endpoints: p0.site/a/b: says NET_DNS; ' +
      'p1.site/a/b: says AUTH_DENIED; p2.site/a/b: says NOT_FOUND',
    facts: { subject: 'NOT_FOUND', next: { kind: 'check-port' } },
  });
  // What was left before is named as well.
  await expect(collect(source.blob(BLOB))).rejects.toMatchObject({
    message: expect.stringContaining('p0.site/a/b: says NET_DNS') as string,
  });
});

it('patience with a mirror is short, and never longer than with a registry', () => {
  expect(mirrorLimits(limits, undefined)).toMatchObject({ connectMs: 3000, headersMs: 15_000, attempts: 1 });
  expect(mirrorLimits(limits, 250)).toMatchObject({ connectMs: 250, connectAddressMs: 250 });
  expect(mirrorLimits({ ...limits, headersMs: 500 }, undefined).headersMs).toBe(500);
});
