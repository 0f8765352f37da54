import { existsSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { createRegistry } from '../../../src/server/server.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import {
  diskUsage,
  eventually,
  imageManifest,
  noise,
  OCI_MANIFEST,
  type RunningRegistry,
  sha256,
  startRegistry,
} from '../running-registry.ts';

const REPOSITORY = 'team/macos';

it('a new process on the same directory serves everything', async () => {
  const dataDirectory = temporaryDirectory();
  const first = await startRegistry({ dataDirectory });
  const subject = { mediaType: OCI_MANIFEST, digest: sha256('subject'), size: 7 };
  const digest = await first.pushImage(REPOSITORY, 'Latest', { subject });
  const location = await first.begin(REPOSITORY);
  await first.registry.close();

  const { send, staged } = await startRegistry({ dataDirectory });
  const manifest = await send('GET', `/v2/${REPOSITORY}/manifests/Latest`);
  expect([manifest.status, manifest.headers['content-type'], sha256(manifest.body)]).toEqual([
    200,
    OCI_MANIFEST,
    digest,
  ]);
  expect((await send('GET', `/v2/${REPOSITORY}/blobs/${sha256('layer of Latest')}`)).status).toBe(200);
  expect((await send('GET', `/v2/${REPOSITORY}/referrers/${subject.digest}`)).body.toString()).toContain(digest);
  expect((await send('GET', '/v2/_catalog')).body.toString()).toBe(`{"repositories":["${REPOSITORY}"]}`);
  // Uploads do not survive, and say so.
  expect((await send('PATCH', location, { body: 'x' })).codes).toEqual(['BLOB_UPLOAD_UNKNOWN']);
  expect(staged()).toEqual([]);
});

describe('garbage', () => {
  it('is what no manifest links to and no request is about to link to', async () => {
    const { registry, directory, send, pushBlob, pushImage } = await startRegistry();
    await pushImage(REPOSITORY, 'keep');
    const old = await pushBlob(REPOSITORY, 'an old layer');
    const young = await pushBlob(REPOSITORY, 'a young layer');
    const hourAgo = new Date(Date.now() - 3_700_000);
    for (const digest of [old, young]) age(directory, digest, hourAgo);
    // A client that asks is told "I have it" and will not upload it again.
    await send('HEAD', `/v2/${REPOSITORY}/blobs/${young}`);
    expect(await registry.collectGarbage()).toEqual({ blobs: 1, bytes: 12, unlinked: 1 });
    expect((await send('HEAD', `/v2/${REPOSITORY}/blobs/${old}`)).status).toBe(404);
    expect((await send('HEAD', `/v2/${REPOSITORY}/blobs/${young}`)).status).toBe(200);
    expect((await send('HEAD', `/v2/${REPOSITORY}/blobs/${sha256('layer of keep')}`)).status).toBe(200);
  });

  it.each([
    ['ahead', 48],
    ['behind', -48],
  ])('is told by the clock of the file system, whatever ours says: %s (I1)', async (_, hours) => {
    const { registry, directory, send, pushBlob } = await startRegistry({ now: () => Date.now() + hours * 3_600_000 });
    const pushed = await pushBlob(REPOSITORY, 'just pushed');
    const asked = await pushBlob(REPOSITORY, 'old and asked for');
    const old = await pushBlob(REPOSITORY, 'old');
    for (const digest of [asked, old]) age(directory, digest, new Date(Date.now() - 3_700_000));
    expect((await send('HEAD', `/v2/${REPOSITORY}/blobs/${asked}`)).status).toBe(200);
    expect(await registry.collectGarbage()).toEqual({ blobs: 1, bytes: 3, unlinked: 1 });
    for (const digest of [pushed, asked]) {
      expect((await send('GET', `/v2/${REPOSITORY}/blobs/${digest}`)).status).toBe(200);
    }
  });

  it('is what was deleted, once no other repository has it', async () => {
    const { registry, directory, send, pushImage } = await startRegistry();
    const empty = diskUsage(path.join(directory, 'blobs'));
    const digest = await pushImage('team/one', 'a');
    await pushImage('team/two', 'a');
    const full = diskUsage(path.join(directory, 'blobs'));
    await send('DELETE', `/v2/team/one/manifests/${digest}`);
    expect(await registry.collectGarbage(0)).toMatchObject({ blobs: 0, bytes: 0, unlinked: 2 });
    expect((await send('GET', '/v2/team/two/manifests/a')).status).toBe(200);
    await send('DELETE', `/v2/team/two/manifests/${digest}`);
    expect(await registry.collectGarbage(0)).toEqual({ blobs: 3, bytes: full - empty, unlinked: 2 });
    expect(diskUsage(path.join(directory, 'blobs'))).toBe(empty);
  });

  it('is not looked for among the blobs of a repository with an unreadable manifest', async () => {
    const { registry, directory, events, pushBlob, pushImage } = await startRegistry();
    const digest = await pushImage(REPOSITORY, 'a');
    await pushBlob(REPOSITORY, 'maybe needed');
    writeFileSync(content(directory, digest), 'damaged');
    expect(await registry.collectGarbage(0)).toEqual({ blobs: 0, bytes: 0, unlinked: 0 });
    expect(events).toContainEqual(
      expect.objectContaining({
        kind: 'failure',
        message: expect.stringContaining('no blob of team/macos is collected'),
      }),
    );
  });

  it('is never a blob that is being pushed', async () => {
    const { registry, send, pushBlob } = await startRegistry();
    const collecting = { on: true };
    const collector = (async () => {
      while (collecting.on) await registry.collectGarbage(60_000);
    })();
    for (let round = 0; round < 30; round += 1) {
      const body = imageManifest(`config ${round}`, [`layer ${round}`]);
      await Promise.all([pushBlob(REPOSITORY, `config ${round}`), pushBlob(REPOSITORY, `layer ${round}`)]);
      const headers = { 'Content-Type': OCI_MANIFEST };
      expect((await send('PUT', `/v2/${REPOSITORY}/manifests/t`, { headers, body })).status).toBe(201);
    }
    collecting.on = false;
    await collector;
    expect((await send('GET', `/v2/${REPOSITORY}/blobs/${sha256('layer 0')}`)).status).toBe(200);
  });
});

function content(directory: string, digest: string): string {
  const hex = digest.slice('sha256:'.length);
  return path.join(directory, 'blobs/sha256', hex.slice(0, 2), hex);
}

function age(directory: string, digest: string, time: Date): void {
  const hex = digest.slice('sha256:'.length);
  for (const file of [
    content(directory, digest),
    path.join(directory, 'repositories', REPOSITORY, '_blobs/sha256', hex),
  ]) {
    utimesSync(file, time, time);
  }
}

describe('unfinished uploads', () => {
  async function hangUp({ port }: RunningRegistry, method: string, target: string, sent: Buffer): Promise<void> {
    const request = http.request({ host: '127.0.0.1', port, method, path: target, headers: { 'Content-Length': 1e6 } });
    await new Promise((resolve) => {
      request.on('error', resolve);
      request.write(sent, () => request.destroy());
      request.once('close', resolve);
    });
  }

  it('of a single POST leave nothing when the client goes away', async () => {
    const running = await startRegistry();
    const target = `/v2/${REPOSITORY}/blobs/uploads/?digest=${sha256('x')}`;
    await hangUp(running, 'POST', target, noise(100_000));
    await eventually('the request has ended', () => running.events.some((event) => event.kind === 'request'));
    await eventually('nothing is left', () => running.staged().length === 0);
    expect((await running.send('GET', '/v2/')).status).toBe(200);
  });

  it('are dropped after an hour without a word', async () => {
    let now = Date.now();
    const running = await startRegistry({ now: () => now });
    const location = await running.begin(REPOSITORY);
    await hangUp(running, 'PATCH', location, noise(100_000));
    await eventually('the server has noticed', () =>
      running.events.some((event) => event.kind === 'request' && event.method === 'PATCH'),
    );
    expect(running.events).toContainEqual(expect.objectContaining({ method: 'PATCH', status: 0, remote: '127.0.0.1' }));
    now += 59 * 60_000;
    expect((await running.send('GET', location)).status).toBe(204);
    now += 61 * 60_000;
    expect((await running.send('GET', location)).status).toBe(404);
    expect(running.staged()).toEqual([]);
    expect(running.events).toContainEqual({ kind: 'uploads-expired', count: 1 });
  });

  it('of a crashed process are swept by the next one when they are old', async () => {
    const dataDirectory = temporaryDirectory();
    await (await startRegistry({ dataDirectory })).registry.close();
    const [old, fresh] = ['0'.repeat(32), '1'.repeat(32)].map((name) => path.join(dataDirectory, 'staging', name));
    for (const file of [old, fresh]) writeFileSync(file!, 'half a blob');
    utimesSync(old!, new Date(Date.now() - 3_700_000), new Date(Date.now() - 3_700_000));
    await startRegistry({ dataDirectory });
    expect([existsSync(old!), existsSync(fresh!)]).toEqual([false, true]);
  });

  it('give way to a new one when there are too many (S43)', async () => {
    const { begin, send, staged } = await startRegistry({ limits: { openUploads: 2 } });
    const [first, second] = [await begin(REPOSITORY), await begin(REPOSITORY)];
    await send('PATCH', first, { body: 'used' });
    await begin(REPOSITORY);
    expect((await send('GET', first)).status).toBe(204);
    expect((await send('GET', second)).status).toBe(404);
    expect(staged()).toHaveLength(2);
  });

  it('are bounded by size, by their sum and by the free space, before and while bytes come (S43)', async () => {
    const push = async (limits: object, transfer: http.OutgoingHttpHeaders): Promise<number> => {
      const { begin, send, staged } = await startRegistry({ limits });
      const target = `${await begin(REPOSITORY)}?digest=${sha256('x'.repeat(2000))}`;
      const { status } = await send('PUT', target, { headers: transfer, body: 'x'.repeat(2000) });
      // What was refused before its body may be sent again; what was refused in the middle is gone.
      expect(staged().length).toBe(status >= 400 && transfer['Transfer-Encoding'] === undefined ? 1 : 0);
      return status;
    };
    const chunked = { 'Transfer-Encoding': 'chunked' };
    expect(await push({ blobBytes: 2000, stagingBytes: 2000 }, chunked)).toBe(201);
    expect(await push({ blobBytes: 1999 }, {})).toBe(413);
    expect(await push({ blobBytes: 1999 }, chunked)).toBe(413);
    expect(await push({ stagingBytes: 1999 }, {})).toBe(507);
    expect(await push({ stagingBytes: 1999 }, chunked)).toBe(507);
    expect(await push({ freeBytes: Number.MAX_SAFE_INTEGER }, {})).toBe(507);
  });

  it('do not make the directory grow, however often they fail (S43)', async () => {
    const { directory, send, begin, pushBlob } = await startRegistry({ limits: { stagingBytes: 100_000 } });
    await pushBlob(REPOSITORY, 'settled');
    const before = diskUsage(directory);
    const body = noise(60_000);
    for (let round = 0; round < 20; round += 1) {
      await send('POST', `/v2/${REPOSITORY}/blobs/uploads/?digest=${sha256('other')}`, { body });
      await send('PUT', `${await begin(REPOSITORY)}?digest=${sha256('other')}`, { body });
      const headers = { 'Content-Type': OCI_MANIFEST };
      await send('PUT', `/v2/${REPOSITORY}/manifests/a`, { headers, body });
    }
    expect(diskUsage(directory)).toBe(before);
    expect(readdirSync(path.join(directory, 'staging'))).toEqual([]);
    // What failed is not counted as staged any more either.
    expect(await pushBlob(REPOSITORY, body)).toBe(sha256(body));
  });
});

it('a data directory that cannot be made is an error of listen, not a crash later', async () => {
  const file = path.join(temporaryDirectory(), 'file');
  writeFileSync(file, '');
  const registry = createRegistry({ dataDirectory: path.join(file, 'data') });
  await expect(registry.listen()).rejects.toMatchObject({
    code: 'DISK_IO',
    facts: { subject: path.join(file, 'data') },
  });
});
