import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fc } from '@fast-check/vitest';
import { afterAll, expect } from 'vitest';
import { AuthFile } from '../../src/credentials/auth-file.ts';
import { describeError, isTartletError, TartletError } from '../../src/errors.ts';
import { decodePath, referencePath } from '../../src/home/layout.ts';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { parseJsonDocument } from '../../src/oci/json-document.ts';
import { parseManifest, requireImage } from '../../src/oci/manifest.ts';
import { allChunks, parseTartImage } from '../../src/oci/tart-image.ts';
import { parseChallenges } from '../../src/registry/auth/challenge.ts';
import { parseContentRange } from '../../src/registry/blobs/content-range.ts';
import { judgeRealm } from '../../src/registry/auth/realm.ts';
import { parseRange } from '../../src/server/http/range.ts';
import { json, tinyDocument, tinyImage } from '../support/tart-image.ts';
import { fuzz, nearly, nearlyBytes } from './fuzzing.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'tartlet-fuzz-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What `work` gives; undefined when it refuses, which it may only do with an error of ours. */
function orRefused<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof TartletError) || error.code === 'INTERNAL') throw error;
    return undefined;
  }
}

const host = fc.constantFrom(
  'localhost',
  'registry.example:8221',
  '[::1]:5000',
  'ghcr.io',
  '10.0.0.1:443',
  'XN--P1AI.b',
);
const goodName = fc
  .tuple(host, fc.constantFrom('a', 'org/img', 'a__b/c-d.e'), fc.constantFrom('', ':1', `@sha256:${'a'.repeat(64)}`))
  .map(([registry, repository, suffix]) => `${registry}/${repository}${suffix}`);

fuzz(
  'a name is refused, or stays within the cache and comes back from its path (S1, S3, S19)',
  [nearly(goodName)],
  (text) => {
    const name = orRefused(() => RemoteName.parse(text));
    if (name === undefined) return;
    const parts = referencePath(name).split('/');
    expect(path.posix.normalize(parts.join('/'))).toBe(parts.join('/'));
    expect(
      parts.every((part) => part !== '' && part !== '.' && part !== '..' && !/[\0-\x20\x7f-\uffff]/.test(part)),
    ).toBe(true);
    // What a URL is made of means the same to a URL.
    expect(new URL(`https://${name.registry.toString()}/v2/${name.repository.text}/x`).pathname).toBe(
      `/v2/${name.repository.text}/x`,
    );
    if (name.reference.kind !== 'tag-and-digest') expect(decodePath(parts)?.toString()).toBe(name.toString());
  },
  3000,
);

fuzz(
  'a path in the cache is foreign, or the very path of the name that it gives (S1, S19)',
  [nearly(goodName.map((text) => referencePath(RemoteName.parse(text))))],
  (text) => {
    const name = decodePath(text.split('/'));
    if (name !== undefined) expect(referencePath(name)).toBe(text);
  },
  3000,
);

const challenge = fc
  .tuple(
    fc.constantFrom('Bearer', 'Basic', 'bearer'),
    fc.array(fc.tuple(fc.constantFrom('realm', 'service', 'scope'), nearly(fc.constant('https://auth.example/t'))), {
      maxLength: 4,
    }),
  )
  .map(([scheme, pairs]) => `${scheme} ${pairs.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}`);

fuzz(
  'a challenge is read without a crash, and its realm trusted only on the host or domain of the registry (S5, S6)',
  [fc.array(nearly(challenge), { maxLength: 3 })],
  async (lines) => {
    for (const { scheme, parameters } of parseChallenges(lines)) {
      expect(scheme).toBe(scheme.toLowerCase());
      const realm = parameters.get('realm');
      if (realm === undefined) continue;
      const judged = await judgeRealm(realm, 'https://registry.corp.example:8221').catch((error: unknown) => {
        if (!isTartletError(error, 'AUTH_REALM')) throw error;
      });
      if (judged === undefined) continue;
      expect(judged.url.protocol).toBe('https:');
      expect(judged.url.username + judged.url.password).toBe('');
      if (judged.trusted) expect(judged.url.hostname).toMatch(/(?:^|\.)corp\.example\.?$/);
    }
  },
  1000,
);

fuzz(
  'a manifest is refused, or promises chunks that add up (S16, S17, S20, C14)',
  [nearlyBytes(fc.constantFrom(json(tinyDocument()), tinyImage().manifest))],
  (bytes) => {
    const image = orRefused(() => parseTartImage(requireImage(parseManifest(bytes), 'x'), 'x'));
    if (image === undefined) return;
    for (const { offset, size, descriptor } of allChunks(image)) {
      expect([offset, size, descriptor.size].every((number) => Number.isSafeInteger(number) && number >= 0)).toBe(true);
      expect(size).toBeGreaterThan(0);
    }
  },
  2000,
);

fuzz(
  'a JSON document that is read means to everybody what it means to JSON.parse (S17, C15)',
  [nearly(fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value)))],
  (text) => {
    const bytes = Buffer.from(text);
    const value = orRefused(() => parseJsonDocument(bytes, 'document'));
    if (value !== undefined) expect(value).toEqual(JSON.parse(bytes.toString()));
  },
  2000,
);

fuzz(
  'a range of an answer lies within what it says of itself, by exact arithmetic (S51, N41)',
  [nearly(fc.tuple(fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat()).map(([a, b, c]) => `bytes ${a}-${b}/${c}`))],
  (text) => {
    const range = parseContentRange(text);
    if (range === undefined) return;
    const [first, last, total] = [...text.matchAll(/\d+|\*/g)].map(([digits]) =>
      digits === '*' ? undefined : BigInt(digits),
    );
    expect([BigInt(range.start), BigInt(range.end)]).toEqual([first, (last ?? 0n) + 1n]);
    expect(range.start < range.end && (total === undefined || BigInt(range.end) <= total)).toBe(true);
  },
  2000,
);

fuzz(
  'a range that is asked of the server lies within the blob (S51)',
  [nearly(fc.tuple(fc.nat(2000), fc.nat(2000)).map(([a, b]) => `bytes=${a}-${b}`)), fc.nat(1500)],
  (text, length) => {
    const range = parseRange(text, length);
    if (range.kind !== 'part') return;
    expect(range.start >= 0 && range.start < range.end && range.end <= length).toBe(true);
  },
  2000,
);

const SECRET = 'hunter2-canary';
const authFile = fc
  .record({
    auths: fc.dictionary(
      fc.constantFrom('registry.example:8221', 'https://ghcr.io/v1/', '::', 'a/b'),
      fc.oneof(
        fc.constant({ auth: Buffer.from(`ci:${SECRET}`).toString('base64') }),
        fc.constant({ username: 'ci', password: SECRET }),
        fc.constant({ identitytoken: SECRET }),
        fc.jsonValue({ maxDepth: 1 }),
      ),
    ),
    credHelpers: fc.dictionary(
      fc.constantFrom('ghcr.io', 'x'),
      fc.oneof(fc.string(), fc.constantFrom('../evil', '-x', 'a b')),
    ),
    credsStore: fc.oneof(fc.string(), fc.constant(null)),
  })
  .map((value) => JSON.stringify(value));

fuzz(
  'a file with logins is used or refused, and no refusal tells a secret (S33, S34)',
  [nearly(authFile)],
  async (text) => {
    const file = `${directory}/config.json`;
    writeFileSync(file, text, { mode: 0o600 });
    try {
      const auth = await AuthFile.read(file);
      for (const registry of ['registry.example:8221', 'ghcr.io', 'x']) {
        const address = RegistryAddress.parse(registry);
        auth?.secretFor(address, 'a/b');
        await auth?.helperFor(address, {
          environment: {},
          platform: 'linux',
          userDirectory: directory,
          now: () => 0,
        } as never);
      }
    } catch (error) {
      if (!(error instanceof TartletError) || error.code === 'INTERNAL') throw error;
      const said = `${error.message} ${JSON.stringify(error.facts)} ${describeError(error.facts.cause)}`;
      expect(said).not.toContain(SECRET);
      expect(said).not.toContain(Buffer.from(`ci:${SECRET}`).toString('base64').slice(0, 16));
    }
  },
  1000,
);
