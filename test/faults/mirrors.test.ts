import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { expect } from 'vitest';
import type { CredentialsFor, SessionOptions } from '../../src/session/session.ts';
import { inspect } from '../../src/vm/inspect.ts';
import { blobRoute, honest, manifestRoute } from '../support/scripted-image.ts';
import type { Answer, ScriptedRegistry } from '../support/scripted-registry.ts';
import { sha256, storedStream, tinyImage } from '../support/tart-image.ts';
import type { FaultId } from './catalogue.ts';
import { row } from './row.ts';
import { REPOSITORY, type World } from './world.ts';

const CHUNK = Buffer.alloc(200_000, 'what a disk may hold. ');
const IMAGE = tinyImage({ chunks: [CHUNK, Buffer.alloc(4096, 'x')] });
const BLOB = storedStream(CHUNK);
const ROUTE = blobRoute(REPOSITORY, sha256(BLOB));
const SIZE = { 'content-length': String(BLOB.length) };
const MANIFEST = manifestRoute(REPOSITORY, 'latest');

/** A registry with mirrors before it, in this order, and the settings that say so. */
async function mirrored(
  world: World,
  count = 1,
): Promise<{ registry: ScriptedRegistry; mirrors: ScriptedRegistry[]; session: Partial<SessionOptions> }> {
  const registry = await world.serve(IMAGE);
  const mirrors: ScriptedRegistry[] = [];
  for (let index = 0; index < count; index += 1) mirrors.push(await world.serve(IMAGE));
  return { registry, mirrors, session: settingsFor(world, registry.authority, mirrors) };
}

/** Beside what the user has: nothing there may change. */
function settingsDirectory(world: World): string {
  const directory = mkdtempSync(`${tmpdir()}/tartlet-mirrors-`);
  world.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

function settingsFor(
  world: World,
  location: string,
  mirrors: readonly { readonly authority: string }[],
): Partial<SessionOptions> {
  const file = `${settingsDirectory(world)}/mirrors.conf`;
  const tables = mirrors.map(({ authority }) => `[[registry.mirror]]\nlocation = "${authority}"\n`);
  writeFileSync(file, `[[registry]]\nlocation = "${location}"\n${tables.join('')}`);
  return { environment: { TARTLET_MIRRORS: file } };
}

/** What the record of the pulled image says of where it came from. */
async function servedBy(world: World, registry: ScriptedRegistry): Promise<unknown> {
  const name = `${registry.authority}/${REPOSITORY}:latest`;
  const found = await inspect(world.session(), name, { where: 'here', insecure: false });
  if (found.kind !== 'cached' || found.origin?.via !== 'pull') throw new Error(`${name} was not pulled`);
  return found.origin.servedBy;
}

/** Wants no logins any more: the pull is repeated without any. */
function openAgain(...registries: readonly ScriptedRegistry[]): void {
  for (const each of registries) each.guard(() => undefined);
}

/** A port where nothing listens. */
async function closedPort(): Promise<{ authority: string }> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  return { authority: `127.0.0.1:${typeof address === 'object' ? address?.port : 0}` };
}

row(
  'N57',
  'a chunk that breaks off at a mirror goes on at the registry with the byte where it stopped',
  async (world) => {
    const { registry, mirrors, session } = await mirrored(world);
    const half = BLOB.subarray(0, 100_000);
    mirrors[0]?.on(ROUTE, [{ headers: SIZE, body: half, ending: 'rst' }, { status: 500 }]);
    const { fetchedBytes } = await world.pull(registry, { image: IMAGE, session });
    expect(registry.log).toEqual([`GET /v2/${REPOSITORY}/blobs/${sha256(BLOB)}`]);
    const [, first] = /^bytes=(\d+)-/.exec(registry.requests[0]?.headers['range'] ?? '') ?? [];
    expect(Number(first)).toBeGreaterThan(0);
    // What the mirror sent was not fetched again.
    const { layers } = JSON.parse(Buffer.from(IMAGE.manifest).toString()) as { layers: { size: number }[] };
    expect(fetchedBytes).toBe(layers.reduce((sum, { size }) => sum + size, 0));
    expect(await servedBy(world, registry)).toEqual([
      `${mirrors[0]?.authority}/${REPOSITORY}`,
      `${registry.authority}/${REPOSITORY}`,
    ]);
  },
);

row('N57', 'a chunk that breaks off once goes on at the same mirror', async (world) => {
  const { registry, mirrors, session } = await mirrored(world);
  let count = 0;
  mirrors[0]?.on(ROUTE, (request) => {
    count += 1;
    return count > 1 ? honest(BLOB, request) : { headers: SIZE, body: BLOB.subarray(0, 100_000), ending: 'rst' };
  });
  await world.pull(registry, { image: IMAGE, session });
  expect(registry.log).toEqual([]);
  expect(await servedBy(world, registry)).toEqual([`${mirrors[0]?.authority}/${REPOSITORY}`]);
});

row('N65', 'a mirror where nothing listens costs one attempt, and the next one serves', async (world) => {
  const registry = await world.serve(IMAGE);
  const mirror = await world.serve(IMAGE);
  const dead = await closedPort();
  const session = settingsFor(world, registry.authority, [dead, mirror]);
  await world.pull(registry, { image: IMAGE, session });
  expect(registry.log).toEqual([]);
  expect(mirror.log[0]).toBe(`GET /v2/${REPOSITORY}/manifests/latest`);
  expect(world.said.filter((line) => line.includes('is not asked any more'))).toHaveLength(1);
  expect(world.said.join('\n')).not.toContain('"retrying"');
});

const ERRORS: readonly [FaultId, string, Answer][] = [
  ['N65', 'fails', { status: 500 }],
  ['N65', 'wants to be left alone for a while', { status: 429, headers: { 'retry-after': '60' } }],
  ['N65', 'forbids', { status: 403 }],
  ['N65', 'wants a login that nobody has', { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } }],
  ['N65', 'shows a web page', { headers: { 'content-type': 'text/html' }, body: '<html>' }],
  ['N67', 'does not have the image', { status: 404 }],
];

for (const [id, what, answer] of ERRORS) {
  row(id, `a mirror that ${what} is asked once, and the registry serves`, async (world) => {
    const { registry, mirrors, session } = await mirrored(world);
    mirrors[0]?.on('*', answer).on(MANIFEST, answer);
    await world.pull(registry, { image: IMAGE, session });
    expect(mirrors[0]?.requests).toHaveLength(1);
    expect(await servedBy(world, registry)).toBeUndefined();
  });
}

row('N66', 'a mirror that stalls in a chunk is left, and the rest comes from the registry', async (world) => {
  const { registry, mirrors, session } = await mirrored(world);
  mirrors[0]?.on(ROUTE, { headers: SIZE, body: BLOB.subarray(0, 100_000), ending: 'stall' });
  await world.pull(registry, { image: IMAGE, session });
  expect(registry.log).toEqual([`GET /v2/${REPOSITORY}/blobs/${sha256(BLOB)}`]);
});

row('N67', 'a chunk that a mirror lacks comes from the registry, and the others from the mirror', async (world) => {
  const { registry, mirrors, session } = await mirrored(world);
  mirrors[0]?.on(ROUTE, { status: 404 });
  await world.pull(registry, { image: IMAGE, session });
  expect(registry.log).toEqual([`GET /v2/${REPOSITORY}/blobs/${sha256(BLOB)}`]);
});

row('N65', 'when all fail, the error names each with its reason, the registry last', async (world) => {
  const { registry, mirrors, session } = await mirrored(world, 2);
  mirrors[0]?.on(MANIFEST, { status: 404 });
  mirrors[1]?.on(MANIFEST, { status: 451, body: 'by order' });
  registry.on(MANIFEST, { status: 404 });
  const [first, second] = mirrors.map(({ authority }) => authority);
  await expect(world.pull(registry, { image: IMAGE, session })).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringMatching(
      new RegExp(
        `from any of 3 endpoints: ${first}/org/vm: .*; ${second}/org/vm: .*451 \\(by order\\).*; ${registry.authority}/org/vm: `,
      ),
    ) as string,
  });
});

row(
  'S87',
  'wrong bytes of a mirror cost one chunk, are stored nowhere, and it is asked for nothing else',
  async (world) => {
    const { registry, mirrors, session } = await mirrored(world);
    const wrong = Buffer.from(BLOB);
    wrong[50_000] = (wrong[50_000] ?? 0) ^ 4;
    mirrors[0]?.on(ROUTE, (request) => honest(wrong, request));
    expect(await world.pull(registry, { image: IMAGE, session })).toMatchObject({ status: 'pulled' });
    expect(registry.log).toContain(`GET /v2/${REPOSITORY}/blobs/${sha256(BLOB)}`);
    expect(world.said.join('\n')).toContain('it sends wrong bytes for blob');
  },
);

row('S87', 'two mirrors that lie about every chunk are no better than one', async (world) => {
  const { registry, mirrors, session } = await mirrored(world, 2);
  for (const mirror of mirrors) {
    for (const [digest, { length }] of IMAGE.blobs) {
      mirror.on(blobRoute(REPOSITORY, digest), (request) => honest(Buffer.alloc(length, 'lie'), request));
    }
  }
  expect(await world.pull(registry, { image: IMAGE, session })).toMatchObject({ status: 'pulled' });
});

row('S87', 'another manifest than the digest says is not taken from a mirror', async (world) => {
  const { registry, mirrors, session } = await mirrored(world);
  const other = tinyImage({ chunks: [Buffer.alloc(9000, 'other')] });
  const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
  mirrors[0]?.on(manifestRoute(REPOSITORY, IMAGE.digest), { headers, body: other.manifest });
  const outcome = await world.pull(registry, { image: IMAGE, reference: `@${IMAGE.digest}`, session });
  expect(outcome.digest.toString()).toBe(IMAGE.digest);
  expect(mirrors[0]?.requests).toHaveLength(1);
});

row(
  'S88',
  'each endpoint gets the login that is for it, and the login of the command goes to the registry alone',
  async (world) => {
    const { registry, mirrors, session } = await mirrored(world);
    const secrets = new Map([
      ['named', world.secret('primary-password')],
      ['mirror', world.secret('mirror-password')],
    ]);
    const asked: string[] = [];
    const credentials: CredentialsFor = (name, place) => ({
      find: async (at) => {
        asked.push(`${place} ${name.registry.toString()} ${at.toString()}`);
        return {
          kind: 'password',
          registry: at,
          username: 'ci',
          password: secrets.get(place) ?? '',
          source: 'the test',
        };
      },
    });
    for (const [each, place] of [
      [mirrors[0], 'mirror'],
      [registry, 'named'],
    ] as const) {
      const value = `Basic ${Buffer.from(`ci:${secrets.get(place)}`).toString('base64')}`;
      each?.guard(({ headers }) =>
        headers['authorization'] === value
          ? undefined
          : { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } },
      );
    }
    mirrors[0]?.on(ROUTE, { status: 404 });
    await world.pull(registry, { image: IMAGE, session: { ...session, credentials } });
    const sent = (each: ScriptedRegistry | undefined): string[] => [
      ...new Set(each?.requests.flatMap(({ headers }) => headers['authorization'] ?? [])),
    ];
    expect(sent(mirrors[0])).toEqual([`Basic ${Buffer.from('ci:mirror-password').toString('base64')}`]);
    expect(sent(registry)).toEqual([`Basic ${Buffer.from('ci:primary-password').toString('base64')}`]);
    expect(new Set(asked)).toEqual(
      new Set([
        `mirror ${mirrors[0]?.authority} ${mirrors[0]?.authority}`,
        `named ${registry.authority} ${registry.authority}`,
      ]),
    );
    openAgain(registry, ...mirrors);
  },
);

row('S88', 'a login in the environment is not offered to a mirror', async (world) => {
  const { registry, mirrors, session } = await mirrored(world);
  const password = world.secret('for the registry alone');
  const challenge: Answer = { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } };
  mirrors[0]?.guard(() => challenge);
  registry.guard(({ headers }) => (headers['authorization'] === undefined ? challenge : undefined));
  const settings = session.environment?.['TARTLET_MIRRORS'] ?? '';
  const ran = await world.workplace.shell(
    `TARTLET_MIRRORS=${settings} TART_REGISTRY_HOSTNAME= TART_REGISTRY_USERNAME=ci TART_REGISTRY_PASSWORD='${password}' ` +
      `$TARTLET pull ${registry.authority}/${REPOSITORY}:latest`,
  );
  expect(world.heard(ran).exitCode, ran.stderr).toBe(0);
  expect(mirrors[0]?.requests.map(({ headers }) => headers['authorization'])).toEqual([undefined]);
  openAgain(registry, ...mirrors);
});

row('S88', 'a header of hosts.toml goes to its host alone, and is in nothing that is said', async (world) => {
  const registry = await world.serve(IMAGE);
  const mirror = await world.serve(IMAGE);
  const storage = await world.registry();
  const secret = world.secret('header-of-the-mirror');
  mirror.on(ROUTE, { status: 307, headers: { location: `${storage.origin}/blob` } });
  storage.on('GET /blob', (request) => honest(BLOB, request));
  const directory = settingsDirectory(world);
  mkdirSync(`${directory}/127.0.0.1_${registry.port}_`, { recursive: true });
  writeFileSync(
    `${directory}/127.0.0.1_${registry.port}_/hosts.toml`,
    `[host."${mirror.origin}"]\ncapabilities = ["pull", "resolve"]\n[host."${mirror.origin}".header]\nx-key = "${secret}"\n`,
  );
  const ran = await world.workplace.shell(
    `TARTLET_MIRRORS=${directory} $TARTLET pull --debug ${registry.authority}/${REPOSITORY}:latest`,
  );
  expect(world.heard(ran).exitCode, ran.stderr).toBe(0);
  expect(new Set(mirror.requests.map(({ headers }) => headers['x-key']))).toEqual(new Set([secret]));
  expect(mirror.log[0]).toBe(`GET /v2/${REPOSITORY}/manifests/latest?ns=127.0.0.1%3A${registry.port}`);
  expect(storage.requests.map(({ headers }) => headers['x-key'])).toEqual([undefined]);
  expect(registry.log).toEqual([]);
});

row('S89', 'a file of mirrors that others can write to stops the pull before any request', async (world) => {
  const { registry, mirrors, session } = await mirrored(world);
  chmodSync(session.environment?.['TARTLET_MIRRORS'] ?? '', 0o666);
  await expect(world.pull(registry, { image: IMAGE, session })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('other users can write to') as string,
  });
  expect([...registry.log, ...(mirrors[0]?.log ?? [])]).toEqual([]);
  chmodSync(session.environment?.['TARTLET_MIRRORS'] ?? '', 0o600);
});
