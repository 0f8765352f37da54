import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Script } from '../support/scripted-registry.ts';
import { basicValue, blobOf, clientFor, collect, password, scripted, tokenService } from './world.ts';
import { Tag } from '../../src/names/tag.ts';
import { Repository } from '../../src/names/repository.ts';

const SOURCES = path.resolve(import.meta.dirname, '../../src');

/** A header in a literal, or set by name; functions and cases of that name are none. */
const SETTING =
  /[aA]uthorization['"]?:\s+[^\s(]|\[['"`][aA]uthorization['"`]\]\s*=[^=]|(?:set|append)\(['"`][aA]uthorization/;

/** Lines of the product that could put an Authorization header on a request of ours. */
function attachers(): string[] {
  return readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('server/'))
    .flatMap((file) =>
      readFileSync(path.join(SOURCES, file), 'utf8')
        .split('\n')
        .filter((line) => SETTING.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    );
}

describe('secrets leave by one door', () => {
  it('no other code than these lines sets Authorization, and none sets cookies (S7, S10)', () => {
    expect(attachers()).toEqual([
      // Of a controller of VMs, which is no registry, for its address alone (S97).
      "orchard/orchard.ts: : { authorization: `Basic ${Buffer.from(`${account.name}:${account.token}`).toString('base64')}` }),",
      'registry/auth/authorization.ts: return { ...request, headers: { ...request.headers, authorization: value } };',
      "registry/transport/connect/proxy.ts: return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };",
    ]);
  });

  const BLOB = blobOf(64);
  const other = blobOf(65);
  const source = { ...BLOB, open: () => BLOB.bytes };
  const CALLS = {
    ping: (client) => client.ping(),
    'reading a manifest by tag': (client) => client.manifest({ tag: Tag.parse('x') }),
    'reading a manifest by digest': (client) => client.manifest({ digest: BLOB.digest }),
    'asking for a manifest': (client) => client.headManifest({ tag: Tag.parse('x') }),
    'storing a manifest': (client) => client.putManifest({ tag: Tag.parse('x') }, BLOB.bytes, 'x/y'),
    'deleting a manifest': (client) => client.deleteManifest(BLOB.digest),
    'asking for a blob': (client) => client.blobExists(BLOB),
    'reading a blob': (client) => collect(client.blob(BLOB)),
    'reading a part of a blob': (client) => collect(client.blob(BLOB, { from: 8 })),
    'reading a small blob': (client) => client.fetchBlob(other),
    'uploading a blob': (client) => client.uploadBlob(source),
    'uploading a blob in parts': (client) => client.uploadBlob(source, { chunkBytes: 16 }),
    'mounting a blob': (client) => client.mountBlob(BLOB, Repository.parse('c/d')),
    'listing tags': async (client) => {
      for await (const tag of client.tags()) void tag;
    },
  } satisfies Record<string, (client: ReturnType<typeof clientFor>['client']) => Promise<unknown>>;

  /** Leads everything elsewhere, as soon as it knows who asks. */
  const leading =
    (elsewhere: string, greet: Script): Script =>
    async (request, count) => {
      if (request.headers['authorization'] === undefined)
        return typeof greet === 'function' ? greet(request, count) : (greet as never);
      const location = `${elsewhere}/taken?x=1`;
      if (request.method === 'POST') return { status: 202, headers: { location } };
      return { status: 307, headers: { location, link: `<${location}>; rel="next"` } };
    };

  it.each(Object.entries(CALLS))(
    '%s: only the registry learns the password (S4, S7, S10, S11, S12, S13)',
    async (_what, call) => {
      const challenge = { status: 401, headers: { 'www-authenticate': 'Basic realm="elsewhere"' } };
      const elsewhere = await scripted({ '*': challenge }, { name: 'elsewhere.localhost' });
      const registry = await scripted({ '*': leading(elsewhere.origin, challenge) });
      const { client } = clientFor(registry, { credentials: password() });
      await call(client).catch(() => undefined);
      expect(registry.requests.map(({ headers }) => headers['authorization'])).toContain(basicValue());
      for (const { headers, path: target } of elsewhere.requests) {
        expect(Object.keys(headers)).not.toContain('authorization');
        expect(`${target} ${JSON.stringify(headers)}`).not.toMatch(/hunter2|Basic|Y2k6aHVudGVyMg/);
      }
    },
  );

  it.each(Object.entries(CALLS))(
    '%s: only the registry learns its token, and only its service the password (S6, S7)',
    async (_what, call) => {
      const tokens = await tokenService();
      const elsewhere = await scripted({ '*': tokens.challenge() }, { name: 'elsewhere.localhost' });
      const registry = await scripted({ '*': leading(elsewhere.origin, tokens.challenge()) });
      const { client } = clientFor(registry, { credentials: password() });
      await call(client).catch(() => undefined);
      expect(tokens.requests.length).toBeGreaterThan(0);
      for (const { headers } of elsewhere.requests) expect(headers['authorization']).toBeUndefined();
      for (const { headers } of registry.requests) expect(headers['authorization'] ?? 'Bearer').toMatch(/^Bearer/);
    },
  );
});
