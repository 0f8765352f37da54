import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type * as promises from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { temporaryDirectory } from '../../support/directory.ts';
import {
  imageManifest,
  OCI_INDEX,
  OCI_MANIFEST,
  type RunningRegistry,
  sha256,
  startRegistry,
} from '../running-registry.ts';
import type { CountedCalls } from './counted-calls.ts';
import { plantBlob, plantImages, plantManifest, plantTag } from './planted-directory.ts';

const counted = vi.hoisted(() => ({ by: undefined as CountedCalls | undefined }));

vi.mock('node:fs/promises', async (original) => {
  const { CountedCalls: Counted } = await import('./counted-calls.ts');
  counted.by = new Counted();
  return counted.by.around(await original<typeof promises>());
});

/** What one request costs: calls of the file system, and names that directories gave. */
async function costOf(
  request: Promise<{ readonly status: number }>,
  status: number,
): Promise<readonly [number, number]> {
  const { status: answered } = await request;
  expect(answered).toBe(status);
  return [counted.by?.calls ?? 0, counted.by?.names ?? 0];
}

async function cost(running: RunningRegistry, method: string, target: string, status: number) {
  counted.by?.reset();
  return costOf(running.send(method, target), status);
}

async function listed(running: RunningRegistry, repository: string): Promise<unknown> {
  const { body } = await running.send('GET', `/v2/${repository}/tags/list`);
  return (JSON.parse(body.toString()) as { tags: unknown }).tags;
}

describe('what is asked decides how much is read, and not what is there', () => {
  it('a deletion by digest and a page of tags: as much with 1500 tags as with 30 (S72)', async () => {
    const directory = temporaryDirectory();
    const few = plantImages(directory, 'few/tags', 30);
    const many = plantImages(directory, 'many/tags', 1_500);
    const running = await startRegistry({ dataDirectory: directory });
    const costs: unknown[] = [];
    for (const [repository, images] of [
      ['few/tags', few],
      ['many/tags', many],
    ] as const) {
      const page = `/v2/${repository}/tags/list?n=5&last=t00007`;
      const deletions = images.slice(3, 7).map(({ digest }) => `/v2/${repository}/manifests/${digest}`);
      // The first reads the repository, once.
      await running.send('GET', page);
      await running.send('DELETE', deletions[0] ?? '');
      const listing = await cost(running, 'GET', page, 200);
      const deletion = await cost(running, 'DELETE', deletions[1] ?? '', 202);
      const again = await cost(running, 'GET', page, 200);
      const layer = sha256(`layer of ${repository} t00020`);
      const refused = await cost(running, 'DELETE', `/v2/${repository}/blobs/${layer}`, 409);
      await running.pushBlob(repository, 'layer of new');
      await running.pushImage(repository, 'new');
      const afterPush = await cost(running, 'DELETE', deletions[2] ?? '', 202);
      costs.push({ listing, deletion, again, refused, afterPush });
    }
    expect(costs[1]).toEqual(costs[0]);
    expect(costs[0]).toMatchObject({ listing: [2, 0], again: [2, 0] });
  });

  it('a page of repositories begins where it is asked to', async () => {
    const directory = temporaryDirectory();
    for (let each = 0; each < 200; each += 1) plantBlob(directory, `group${each % 10}/r${each}/vm`, 'content');
    const running = await startRegistry({ dataDirectory: directory });
    const [calls, names] = await cost(running, 'GET', '/v2/_catalog?n=2&last=group4/r44/vm', 200);
    expect(calls).toBeLessThan(40);
    expect(names).toBeLessThan(60);
  });
});

describe('the index is what the disk says', () => {
  it('after changes of every kind, as a new process on the same directory sees it', async () => {
    const dataDirectory = temporaryDirectory();
    const images = plantImages(dataDirectory, 'team/vm', 40);
    const running = await startRegistry({ dataDirectory });
    await running.send('DELETE', `/v2/team/vm/manifests/${images[0]?.digest}`);
    const headers = { 'Content-Type': OCI_MANIFEST };
    const put = async (reference: string, body: string) =>
      running.send('PUT', `/v2/team/vm/manifests/${reference}`, { headers, body });
    let state = 7;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    for (let step = 0; step < 150; step += 1) {
      const image = images[random(40)];
      const tag = `${['t000', 'V', 'new-'][random(3)]}${10 + random(20)}`;
      if (step % 3 === 0) await put(tag, image?.bytes ?? '');
      else if (step % 3 === 1) await running.send('DELETE', `/v2/team/vm/manifests/${tag}`);
      else await running.send('DELETE', `/v2/team/vm/manifests/${image?.digest}`);
      if (step % 50 === 0) await running.send('GET', '/v2/team/vm/tags/list?n=3');
    }
    const before = await listed(running, 'team/vm');
    const refusals = async (registry: RunningRegistry) => {
      const answers = images.map(async ({ digest }) => registry.send('HEAD', `/v2/team/vm/manifests/${digest}`));
      return (await Promise.all(answers)).map(({ status }) => status);
    };
    const kept = await refusals(running);
    const layers = images.map((_, each) => sha256(`layer of team/vm t${String(each).padStart(5, '0')}`));
    await running.registry.close();
    const next = await startRegistry({ dataDirectory });
    expect(await listed(next, 'team/vm')).toEqual(before);
    expect(await refusals(next)).toEqual(kept);
    // A layer is refused exactly when a tag needs its image.
    const files = readdirSync(path.join(dataDirectory, 'repositories/team/vm/_tags'));
    expect((before as string[]).length).toBe(files.length);
    for (const [each, layer] of layers.entries()) {
      const tagged = (await next.send('DELETE', `/v2/team/vm/blobs/${layer}`)).status === 409;
      const { status } = await next.send('DELETE', `/v2/team/vm/manifests/${images[each]?.digest}`);
      const left = ((await listed(next, 'team/vm')) as string[]).length;
      expect({ each, tagged }).toEqual({ each, tagged: status === 202 && left < (before as string[]).length });
      (before as string[]).length = left;
    }
  });

  it('also when something else changes the directory meanwhile', async () => {
    const dataDirectory = temporaryDirectory();
    const images = plantImages(dataDirectory, 'team/vm', 3);
    const running = await startRegistry({ dataDirectory });
    expect(await listed(running, 'team/vm')).toEqual(['t00000', 't00001', 't00002']);
    await running.send('DELETE', `/v2/team/vm/manifests/${images[2]?.digest}`);

    const tags = path.join(dataDirectory, 'repositories/team/vm/_tags');
    plantTag(dataDirectory, 'team/vm', 'by-hand', images[1]?.digest ?? '');
    rmSync(path.join(tags, 't00000'));
    expect(await listed(running, 'team/vm')).toEqual(['by-hand', 't00001']);
    const index = JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [{ mediaType: OCI_MANIFEST, digest: images[0]?.digest, size: images[0]?.bytes.length }],
    });
    const digest = plantManifest(dataDirectory, 'team/vm', index, OCI_INDEX);
    plantTag(dataDirectory, 'team/vm', 'index', digest);
    const refused = await running.send('DELETE', `/v2/team/vm/manifests/${images[0]?.digest}`);
    expect([refused.status, refused.body.toString()]).toEqual([
      409,
      expect.stringContaining(`the tag index needs it, by the manifest ${digest}`),
    ]);
    // With its tags, also the one that was set by hand.
    expect((await running.send('DELETE', `/v2/team/vm/manifests/${images[1]?.digest}`)).status).toBe(202);
    expect(await listed(running, 'team/vm')).toEqual(['index']);
  });

  it('after a change that failed', async () => {
    const dataDirectory = temporaryDirectory();
    const images = plantImages(dataDirectory, 'team/vm', 2);
    const running = await startRegistry({ dataDirectory });
    expect(await listed(running, 'team/vm')).toEqual(['t00000', 't00001']);
    // No file can take the place of a directory that is not empty.
    const inTheWay = path.join(dataDirectory, 'repositories/team/vm/_tags/next');
    mkdirSync(inTheWay);
    writeFileSync(path.join(inTheWay, 'x'), '');
    const headers = { 'Content-Type': OCI_MANIFEST };
    const body = images[0]?.bytes ?? '';
    const { status } = await running.send('PUT', '/v2/team/vm/manifests/next', { headers, body });
    expect(status).toBe(500);
    rmSync(inTheWay, { recursive: true });
    expect(await listed(running, 'team/vm')).toEqual(['t00000', 't00001']);
    await running.send('PUT', '/v2/team/vm/manifests/next', { headers, body });
    expect(await listed(running, 'team/vm')).toEqual(['next', 't00000', 't00001']);
  });

  it('in a registry whose repositories are more than fit into the memory for indexes', async () => {
    const dataDirectory = temporaryDirectory();
    const names = Array.from({ length: 5 }, (_, each) => `team/r${each}`);
    const images = names.map((name) => plantImages(dataDirectory, name, 4));
    const { RepositoryIndexes } = await import('../../../src/server/store/repository-indexes.ts');
    const { Storage } = await import('../../../src/server/store/storage.ts');
    const { Repository } = await import('../../../src/names/repository.ts');
    const storage = new Storage(dataDirectory);
    const indexes = new RepositoryIndexes(storage.blobs, 2_000);
    for (const round of [0, 1]) {
      for (const [each, name] of names.entries()) {
        const directory = storage.repository(Repository.parse(name));
        const tags = await indexes.tags(directory);
        expect(await tags.tagsOf(images[each]?.[round]?.digest ?? '', directory)).toEqual([`t0000${round}`]);
      }
    }
    const kept = await Promise.all(
      names.map(async (name) => indexes.currentTags(storage.repository(Repository.parse(name)))),
    );
    expect(kept.filter((each) => each !== undefined).length).toBeLessThan(3);
  });
});

it('repositories are listed in the order of their bytes, whatever directories they are in', async () => {
  const dataDirectory = temporaryDirectory();
  const names = ['a', 'a-b', 'a.b', 'a/b', 'a/b/c', 'a/b-c', 'a0', 'a/z', 'b/c/d', 'b', 'a-b/c', 'ab'];
  for (const name of names) plantBlob(dataDirectory, name, 'content');
  mkdirSync(path.join(dataDirectory, 'repositories/only/directories'), { recursive: true });
  const { send } = await startRegistry({ dataDirectory });
  const sorted = [...names].sort();
  const all = JSON.parse((await send('GET', '/v2/_catalog')).body.toString()) as unknown;
  expect(all).toEqual({ repositories: sorted });
  for (const last of [...names, 'a/', 'a/a', 'a/b/', 'a/b/d', 'a-', '', 'zz', 'only', 'b/c']) {
    const { body, headers } = await send('GET', `/v2/_catalog?n=3&last=${encodeURIComponent(last)}`);
    const behind = sorted.filter((name) => name > last);
    expect([last, JSON.parse(body.toString())]).toEqual([last, { repositories: behind.slice(0, 3) }]);
    expect([last, headers['link'] !== undefined]).toEqual([last, behind.length > 3]);
  }
});

it('a repository that is made while a large directory is remembered is listed', async () => {
  const dataDirectory = temporaryDirectory();
  for (let each = 0; each < 300; each += 1) plantBlob(dataDirectory, `r${each}`, 'content');
  const repositories = path.join(dataDirectory, 'repositories');
  const { utimesSync } = await import('node:fs');
  utimesSync(repositories, 1_700_000_000, 1_700_000_000);
  const running = await startRegistry({ dataDirectory });
  const repositoriesBehind = async (last: string): Promise<unknown> =>
    (
      JSON.parse((await running.send('GET', `/v2/_catalog?n=2&last=${last}`)).body.toString()) as {
        repositories: unknown;
      }
    ).repositories;
  expect(await repositoriesBehind('r298')).toEqual(['r299', 'r3']);
  counted.by?.reset();
  await repositoriesBehind('r298');
  expect(counted.by?.names).toBeLessThan(20);
  await running.pushBlob('r2980', imageManifest('{}', []));
  expect(await repositoriesBehind('r298')).toEqual(['r2980', 'r299']);
});
