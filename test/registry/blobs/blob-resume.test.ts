import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TartletError } from '../../../src/errors.ts';
import { readBlob } from '../../../src/registry/blobs/blob.ts';
import { limits } from '../../../src/registry/request/limits.ts';
import { type RepositoryContext, unknownTraits } from '../../../src/registry/request/repository.ts';
import type { RegistryResponse } from '../../../src/registry/request/request.ts';
import { blobOf, collect, FakeClock } from '../world.ts';

const BLOB = blobOf(400);

/** What a registry does with one request: how it treats the range, and where it breaks off. */
const fault = fc.record({
  range: fc.constantFrom('honoured', 'ignored', 'shortened', 'refused', 'garbled'),
  cut: fc.nat(400),
  silently: fc.boolean(),
  piece: fc.integer({ min: 1, max: 97 }),
});
type Fault = typeof fault extends fc.Arbitrary<infer T> ? T : never;

/** A repository in memory that goes through a list of faults and is honest afterwards. */
function repository(faults: readonly Fault[]): RepositoryContext {
  const plan = [...faults];
  const honest: Fault = { range: 'honoured', cut: 400, silently: false, piece: 400 };
  return {
    registry: 'registry.example',
    repository: 'a/b',
    timing: { clock: new FakeClock(), limits },
    traits: unknownTraits(),
    limitParts: () => undefined,
    url: (path) => Promise.resolve(new URL(`https://registry.example/v2/a/b/${path}`)),
    send: (request) => Promise.resolve(respond(request.headers['range'], plan.shift() ?? honest)),
  };
}

function respond(asked: string | undefined, { range, cut, silently, piece }: Fault): RegistryResponse {
  const [first = 0, last = 399] = (asked ?? '').match(/\d+/g)?.map(Number) ?? [];
  const ranged = asked !== undefined && range !== 'ignored';
  const start = ranged ? first : 0;
  const end = !ranged ? 400 : range === 'shortened' ? Math.min(last, first + piece) + 1 : last + 1;
  const headers = new Map<string, string>();
  if (ranged) headers.set('content-range', `bytes ${range === 'garbled' ? start + 1 : start}-${end - 1}/400`);
  return {
    status: ranged ? (range === 'refused' ? 416 : 206) : 200,
    headers: { get: (name) => headers.get(name), all: () => [] },
    url: new URL('https://registry.example/'),
    crossOrigin: false,
    body: {
      discard: () => Promise.resolve(),
      destroy: () => {},
      async *[Symbol.asyncIterator]() {
        const stop = Math.min(end, start + cut);
        for (let at = start; at < stop; at += piece) yield BLOB.bytes.subarray(at, Math.min(at + piece, stop));
        if (stop < end && !silently) throw new TartletError('NET_BROKEN', 'cut', { retryable: true });
      },
    },
  };
}

describe('reading over a bad line', () => {
  it('gives exactly the wanted bytes, whatever breaks (N14, N19, N39–N42)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { maxLength: 5 }), fc.nat(400), fc.nat(400), async (faults, one, two) => {
        const [from, to] = [Math.min(one, two), Math.max(one, two)];
        expect(await collect(readBlob(repository(faults), BLOB, { from, to }))).toEqual(BLOB.bytes.subarray(from, to));
      }),
      { numRuns: 300 },
    );
  });
});
