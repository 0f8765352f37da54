import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LocalName } from '../../../src/names/local-name.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import type { TransferEvent } from '../../../src/session/progress.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import type { Session } from '../../../src/session/session.ts';
import { cloneVm } from '../../../src/vm/clone.ts';
import { listVms } from '../../../src/vm/listing.ts';
import { type PushNames, pushVm } from '../../../src/vm/push.ts';
import { freshSession, plantVm } from '../../support/home.ts';
import { type MeddlingRegistry, startMeddlingRegistry } from '../../support/meddling-registry.ts';
import { plantInRegistry } from '../../support/planted-image.ts';
import { sha256, tinyImage } from '../../support/tart-image.ts';
import { namesBesideSeal } from '../../support/unmodified-marker.ts';

const MIB = 1024 * 1024;

const image = tinyImage({
  chunks: [Buffer.alloc(8192, 'one'), Buffer.alloc(4096, 'two')],
  config: Buffer.from(
    '{"version":1,"os":"linux","arch":"arm64","cpuCount":4,"memorySize":4294967296,"cpuCountMin":4,"memorySizeMin":4294967296,"macAddress":"7e:12:34:56:78:9a","unknownKey":true}',
  ),
});

function names(...texts: readonly [string, ...string[]]): PushNames {
  const [first, ...more] = texts;
  return [RemoteName.parse(first), ...more.map((text) => RemoteName.parse(text))];
}

/** A session that has pulled the image from a registry, whose log is then empty. */
async function pulled(): Promise<{
  session: Session;
  from: MeddlingRegistry;
  directory: string;
  events: TransferEvent[];
}> {
  const from = await startMeddlingRegistry();
  await plantInRegistry(from, 'org/vm', '1', image);
  const events: TransferEvent[] = [];
  const session = freshSession({ onEvent: (event) => events.push(event) });
  await pull(session, RemoteName.parse(`${from.at}/org/vm:1`));
  from.takeRequests();
  return { session, from, events, directory: cacheDirectory(session, from, 'org/vm', image.digest) };
}

function cacheDirectory(session: Session, registry: MeddlingRegistry, repository: string, digest: string): string {
  return `${session.home.imagesDirectory}/${registry.at.replace(':', '%3A')}/${repository}/${digest}`;
}

async function expectImage(registry: MeddlingRegistry, repository: string, tag: string): Promise<void> {
  expect((await registry.get(`/v2/${repository}/manifests/${tag}`))?.equals(image.manifest)).toBe(true);
  for (const [digest, bytes] of image.blobs) {
    expect((await registry.get(`/v2/${repository}/blobs/${digest}`))?.equals(bytes), digest).toBe(true);
  }
}

describe('pushing a cached image', () => {
  it('to another registry sends the very same manifest; only what the cache lacks comes from the source (tart-cli §7 #43)', async () => {
    const { session, from, events } = await pulled();
    const to = await startMeddlingRegistry();
    const outcomes = await pushVm(
      session,
      `${from.at}/org/vm:1`,
      names(`${to.at}/mirror/vm:2`, `${to.at}/mirror/vm:3`),
      {
        labels: new Map([['team', 'ci']]),
      },
    );
    expect(outcomes.map(({ digest }) => digest.toString())).toEqual([image.digest]);
    await expectImage(to, 'mirror/vm', '2');
    await expectImage(to, 'mirror/vm', '3');
    const here = new Set([sha256(image.config), sha256(image.nvram)]);
    const fetched = [...image.blobs.keys()].filter((digest) => !here.has(digest));
    expect(from.takeRequests().toSorted()).toEqual(
      fetched.map((digest) => `GET /v2/org/vm/blobs/${digest}`).toSorted(),
    );
    expect(events.filter((event) => event.kind === 'note')).toMatchObject([
      { text: 'a cached image is sent as it is: labels, layer size and the like do not apply' },
    ]);
    expect(to.requests.filter((line) => line.startsWith('PUT')).slice(-3)).toEqual([
      `PUT /v2/mirror/vm/manifests/${image.digest}`,
      'PUT /v2/mirror/vm/manifests/2',
      'PUT /v2/mirror/vm/manifests/3',
    ]);
  });

  it('within its registry mounts (tart-cli §7 #43)', async () => {
    const { session, from } = await pulled();
    await pushVm(session, `${from.at}/org/vm:1`, names(`${from.at}/other/vm:1`));
    await expectImage(from, 'other/vm', '1');
    const asked = from.takeRequests();
    expect(asked.filter((line) => line.includes('mount='))).toHaveLength(image.blobs.size);
    expect(asked.filter((line) => line.startsWith('PUT') && line.includes('/uploads/'))).toEqual([]);
  });

  it('to another tag of its repository sends the manifest alone', async () => {
    const { session, from } = await pulled();
    await pushVm(session, `${from.at}/org/vm:1`, names(`${from.at}/org/vm:stable`));
    expect(from.takeRequests()).toEqual([
      `PUT /v2/org/vm/manifests/${image.digest}`,
      'PUT /v2/org/vm/manifests/stable',
    ]);
    await expectImage(from, 'org/vm', 'stable');
  });

  it.each([
    [
      'rewritten',
      (file: string) => writeFileSync(file, JSON.stringify(JSON.parse(readFileSync(file, 'utf8')), null, 1)),
    ],
    ['missing', (file: string) => rmSync(file)],
  ])('whose manifest an old Tart left %s fetches the original by digest', async (_, spoil) => {
    const { session, from, directory } = await pulled();
    spoil(`${directory}/manifest.json`);
    // The tag moved on; what is pushed is what is cached.
    await plantInRegistry(from, 'org/vm', '1', tinyImage({ chunks: [Buffer.alloc(4096, 'newer')] }));
    const to = await startMeddlingRegistry();
    await pushVm(session, `${from.at}/org/vm:1`, names(`${to.at}/mirror/vm:1`));
    await expectImage(to, 'mirror/vm', '1');
    expect(from.takeRequests().filter((line) => line.includes('/manifests/'))).toEqual([
      `GET /v2/org/vm/manifests/${image.digest}`,
    ]);
  });

  it('does not need the source when the target has every blob', async () => {
    const { session, from } = await pulled();
    const to = await startMeddlingRegistry();
    for (const [digest, bytes] of image.blobs) await to.pushBlob('mirror/vm', bytes, digest);
    await from.stop();
    await pushVm(session, `${from.at}/org/vm:1`, names(`${to.at}/mirror/vm:1`));
    await expectImage(to, 'mirror/vm', '1');
  });

  it('whose source is gone says what to do, and moves no tag', async () => {
    const { session, from } = await pulled();
    const to = await startMeddlingRegistry();
    await from.stop();
    const name = `${from.at}/org/vm:1`;
    await expect(pushVm(session, name, names(`${to.at}/mirror/vm:1`))).rejects.toMatchObject({
      code: 'NET_CONNECT',
      message: expect.stringContaining(`blobs of ${name} must come from ${from.at}: `) as string,
      facts: {
        next: { kind: 'push-a-clone', registry: from.at, image: name },
      },
    });
    expect(await to.get('/v2/mirror/vm/manifests/1')).toBeUndefined();
  });

  it('never sends a cached file that is not what the manifest says (D8)', async () => {
    const { session, from, directory } = await pulled();
    writeFileSync(`${directory}/nvram.bin`, Buffer.alloc(image.nvram.length, 'changed'));
    const to = await startMeddlingRegistry();
    await pushVm(session, `${from.at}/org/vm:1`, names(`${to.at}/mirror/vm:1`));
    await expectImage(to, 'mirror/vm', '1');
  });

  it('that is not cached is refused, as is a digest that it does not have', async () => {
    const { session, from } = await pulled();
    const to = await startMeddlingRegistry();
    await expect(pushVm(session, `${from.at}/org/vm:2`, names(`${to.at}/mirror/vm:1`))).rejects.toMatchObject({
      code: 'VM_NOT_FOUND',
    });
    const wrong = `${to.at}/mirror/vm@sha256:${'0'.repeat(64)}`;
    await expect(pushVm(session, `${from.at}/org/vm:1`, names(wrong))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    });
    expect(to.requests).toEqual([]);
  });

  it('holds the image: it cannot be deleted meanwhile', async () => {
    const { session, from } = await pulled();
    const to = await startMeddlingRegistry();
    const refusals: unknown[] = [];
    to.meddle = (request, response) => {
      if (request.method !== 'HEAD' || refusals.length > 0) return false;
      refusals.push(undefined);
      void session.images.delete(RemoteName.parse(`${from.at}/org/vm:1`)).catch((error: unknown) => {
        refusals[0] = error;
        response.writeHead(404).end();
      });
      return true;
    };
    await pushVm(session, `${from.at}/org/vm:1`, names(`${to.at}/mirror/vm:1`));
    expect(refusals).toMatchObject([{ code: 'BUSY' }]);
    await session.images.delete(RemoteName.parse(`${from.at}/org/vm:1`));
  });
});

describe('pushing to several repositories', () => {
  it('serves the others when one fails, and says which', async () => {
    const { session, from } = await pulled();
    const [a, b, c] = [await startMeddlingRegistry(), await startMeddlingRegistry(), await startMeddlingRegistry()];
    b.meddle = (_, response) => {
      response.writeHead(403).end();
      return true;
    };
    const done: string[] = [];
    const push = pushVm(session, `${from.at}/org/vm:1`, names(`${a.at}/x:1`, `${b.at}/y:1`, `${c.at}/z:1`), {
      onPushed: (outcome) => void done.push(outcome.names.join()),
    });
    await expect(push).rejects.toMatchObject({
      code: 'AUTH_DENIED',
      message: expect.stringMatching(new RegExp(`^${b.at}/y:1: `)) as string,
      facts: { kept: `done: ${a.at}/x:1, ${c.at}/z:1` },
    });
    expect(done).toEqual([`${a.at}/x:1`, `${c.at}/z:1`]);
    await expectImage(a, 'x', '1');
    await expectImage(c, 'z', '1');
  });

  it('gives a local VM one digest everywhere, though time passes', async () => {
    const [a, b] = [await startMeddlingRegistry(), await startMeddlingRegistry()];
    let seconds = 0;
    const session = freshSession({ now: () => new Date(Date.UTC(2026, 0, 1, 0, 0, (seconds += 1))) });
    plantVm(`${session.home.vmsDirectory}/vm`);
    const outcomes = await pushVm(session, 'vm', names(`${a.at}/x:1`, `${b.at}/y:1`));
    expect(new Set(outcomes.map(({ digest }) => digest.toString())).size).toBe(1);
  });
});

describe('pushing and keeping the image in the cache', () => {
  function plantSparseVm(session: Session): string {
    const directory = `${session.home.vmsDirectory}/vm`;
    plantVm(directory, Buffer.alloc(MIB, 'data'));
    truncateSync(`${directory}/disk.img`, 64 * MIB);
    return directory;
  }

  it('a local VM is listed and cloned under the pushed names, port and all, without any network', async () => {
    const to = await startMeddlingRegistry();
    const session = freshSession({ now: () => new Date('2026-11-24T03:00:00Z') });
    const vm = plantSparseVm(session);
    const [outcome] = await pushVm(session, 'vm', names(`${to.at}/org/vm:1`, `${to.at}/org/vm:latest`), {
      populateCache: true,
    });
    await to.stop();
    const digest = outcome?.digest.toString() ?? '';
    const directory = cacheDirectory(session, to, 'org/vm', digest);
    expect((await listVms(session)).map((row) => row.name).toSorted()).toEqual(
      ['vm', `${to.at}/org/vm:1`, `${to.at}/org/vm:latest`, `${to.at}/org/vm@${digest}`].toSorted(),
    );
    expect(readlinkSync(`${directory}/../1`)).toBe(directory);
    expect(namesBesideSeal(directory)).toEqual([
      '.last-used',
      '.origin.json',
      'config.json',
      'disk.img',
      'manifest.json',
      'nvram.bin',
    ]);
    expect(sha256(readFileSync(`${directory}/manifest.json`))).toBe(digest);
    for (const file of ['config.json', 'disk.img', 'nvram.bin']) {
      expect(readFileSync(`${directory}/${file}`).equals(readFileSync(`${vm}/${file}`)), file).toBe(true);
    }
    expect(statSync(`${directory}/disk.img`).blocks).toBeLessThanOrEqual(statSync(`${vm}/disk.img`).blocks * 1.01);
    expect(JSON.parse(readFileSync(`${directory}/.origin.json`, 'utf8'))).toMatchObject({
      via: 'push',
      registry: to.at,
      repository: 'org/vm',
      digest,
    });
    expect(readdirSync(session.home.stagingDirectory)).toEqual([]);
    await cloneVm(session, `${to.at}/org/vm:1`, LocalName.parse('copy'));
    expect(readFileSync(`${session.home.vmsDirectory}/copy/disk.img`).equals(readFileSync(`${vm}/disk.img`))).toBe(
      true,
    );
  });

  it('takes over whatever an interrupted pull of the same image left', async () => {
    const to = await startMeddlingRegistry();
    const session = freshSession();
    const vm = plantSparseVm(session);
    const [first] = await pushVm(session, 'vm', names(`${to.at}/org/vm:1`), { reproducible: true });
    const hex = first?.digest.hex ?? '';
    plantVm(`${session.home.stagingDirectory}/${hex}`, 'half a disk');
    writeFileSync(`${session.home.stagingDirectory}/${hex}/.verified`, '0\n');
    await pushVm(session, 'vm', names(`${to.at}/org/vm:1`), { reproducible: true, populateCache: true });
    const directory = cacheDirectory(session, to, 'org/vm', `sha256:${hex}`);
    expect(readFileSync(`${directory}/disk.img`).equals(readFileSync(`${vm}/disk.img`))).toBe(true);
    expect(existsSync(`${directory}/.verified`)).toBe(false);
  });

  it('a cached image is there under its new names, too', async () => {
    const { session, from, directory } = await pulled();
    const to = await startMeddlingRegistry();
    await pushVm(session, `${from.at}/org/vm:1`, names(`${to.at}/mirror/vm:2`, `${from.at}/org/vm:stable`), {
      populateCache: true,
    });
    await Promise.all([from.stop(), to.stop()]);
    const mirrored = cacheDirectory(session, to, 'mirror/vm', image.digest);
    expect(readFileSync(`${mirrored}/disk.img`).equals(image.disk)).toBe(true);
    expect(readFileSync(`${mirrored}/manifest.json`).equals(image.manifest)).toBe(true);
    // In its own repository it only gets a name.
    expect(readlinkSync(`${directory}/../stable`)).toBe(directory);
    expect((await session.images.find(RemoteName.parse(`${to.at}/mirror/vm:2`)))?.digest.toString()).toBe(image.digest);
    await cloneVm(session, `${to.at}/mirror/vm:2`, LocalName.parse('copy'));
  });

  it('refuses a name whose place is taken before anything is sent', async () => {
    const { session, from } = await pulled();
    const nested = `${from.at}/org/vm/1/nested:1`;
    await expect(pushVm(session, `${from.at}/org/vm:1`, names(nested), { populateCache: true })).rejects.toMatchObject({
      code: 'NAME_COLLISION',
    });
    expect(from.takeRequests()).toEqual([]);
  });

  it('a push that fails leaves the cache alone', async () => {
    const to = await startMeddlingRegistry();
    to.meddle = (request, response) => {
      if (request.method !== 'PUT' || request.url?.includes('/manifests/') !== true) return false;
      request.resume().on('end', () => response.writeHead(400).end());
      return true;
    };
    const session = freshSession();
    plantSparseVm(session);
    await expect(pushVm(session, 'vm', names(`${to.at}/org/vm:1`), { populateCache: true })).rejects.toMatchObject({
      facts: { status: 400 },
    });
    expect(existsSync(session.home.imagesDirectory)).toBe(false);
  });
});
