import { describe, expect, it } from 'vitest';
import {
  imageManifest,
  OCI_INDEX,
  OCI_MANIFEST,
  type RunningRegistry,
  sha256,
  startRegistry,
} from '../running-registry.ts';

const REPOSITORY = 'team/macos';

async function tagged(tags: readonly string[]): Promise<RunningRegistry> {
  const running = await startRegistry();
  const digest = await running.pushImage(REPOSITORY, undefined);
  const { body } = await running.send('GET', `/v2/${REPOSITORY}/manifests/${digest}`);
  const query = tags.map((tag) => `tag=${tag}`).join('&');
  const headers = { 'Content-Type': OCI_MANIFEST };
  await running.send('PUT', `/v2/${REPOSITORY}/manifests/${digest}?${query}`, { headers, body });
  return running;
}

async function json(running: RunningRegistry, target: string): Promise<{ value: unknown; link: string | undefined }> {
  const { status, headers, body } = await running.send('GET', target);
  expect(status).toBe(200);
  const { link } = headers;
  return { value: JSON.parse(body.toString()), link: typeof link === 'string' ? link : undefined };
}

describe('the list of tags', () => {
  it('is sorted by bytes and cut into pages that link to each other', async () => {
    const running = await tagged(['v2', 'V2', '10', 'latest', '_x']);
    const target = `/v2/${REPOSITORY}/tags/list`;
    expect((await json(running, target)).value).toEqual({
      name: REPOSITORY,
      tags: ['10', 'V2', '_x', 'latest', 'v2'],
    });
    const seen: unknown[] = [];
    let next: string | undefined = `${target}?n=2`;
    while (next !== undefined) {
      const { value, link } = await json(running, next);
      seen.push((value as { tags: string[] }).tags);
      next = link === undefined ? undefined : /^<([^>]+)>; rel="next"$/.exec(link)?.[1];
    }
    expect(seen).toEqual([['10', 'V2'], ['_x', 'latest'], ['v2']]);
  });

  it.each([
    ['n=0', []],
    ['last=V2', ['_x', 'v2']],
    ['last=W', ['_x', 'v2']],
    ['n=1&last=10', ['V2']],
    ['n=999999999999999999', ['10', 'V2', '_x', 'v2']],
  ])('understands %s', async (query, tags) => {
    const running = await tagged(['v2', 'V2', '10', '_x']);
    const { value } = await json(running, `/v2/${REPOSITORY}/tags/list?${query}`);
    expect(value).toEqual({ name: REPOSITORY, tags });
  });

  it('never has more than 1000 entries (S43)', async () => {
    const tags = Array.from({ length: 100 }, (_, at) => `t${at}`);
    const running = await tagged(tags);
    const digest = (await running.send('HEAD', `/v2/${REPOSITORY}/manifests/t0`)).headers['docker-content-digest'];
    const { body } = await running.send('GET', `/v2/${REPOSITORY}/manifests/t0`);
    for (let round = 1; round <= 10; round += 1) {
      const query = tags.map((tag) => `tag=r${round}${tag}`).join('&');
      const target = `/v2/${REPOSITORY}/manifests/${String(digest)}?${query}`;
      await running.send('PUT', target, { headers: { 'Content-Type': OCI_MANIFEST }, body });
    }
    const { value, link } = await json(running, `/v2/${REPOSITORY}/tags/list?n=5000`);
    expect((value as { tags: string[] }).tags).toHaveLength(1000);
    expect(link).toContain('n=1000&last=');
  });

  it('of an unknown repository is NAME_UNKNOWN, with nonsense for n 400', async () => {
    const running = await tagged(['a']);
    expect((await running.send('GET', '/v2/no/where/tags/list')).codes).toEqual(['NAME_UNKNOWN']);
    expect((await running.send('GET', `/v2/${REPOSITORY}/tags/list?n=-1`)).status).toBe(400);
  });
});

it('the catalog lists repositories at every depth', async () => {
  const running = await startRegistry();
  for (const name of ['b', 'a/b/c', 'a', 'a/b-c']) await running.pushBlob(name, 'x');
  expect((await json(running, '/v2/_catalog')).value).toEqual({ repositories: ['a', 'a/b-c', 'a/b/c', 'b'] });
  const { value, link } = await json(running, '/v2/_catalog?n=1&last=a');
  expect(value).toEqual({ repositories: ['a/b-c'] });
  expect(link).toBe('</v2/_catalog?n=1&last=a%2Fb-c>; rel="next"');
});

describe('referrers', () => {
  const subject = { mediaType: OCI_MANIFEST, digest: sha256('not pushed yet'), size: 14 };

  async function refer(running: RunningRegistry, artifactType: string): Promise<object> {
    await running.pushBlob(REPOSITORY, '{}');
    const extra = { subject, artifactType, annotations: { kind: artifactType } };
    const body = imageManifest('{}', [], extra);
    const { status, headers } = await running.send('PUT', `/v2/${REPOSITORY}/manifests/${sha256(body)}`, {
      headers: { 'Content-Type': OCI_MANIFEST },
      body,
    });
    expect([status, headers['oci-subject']]).toEqual([201, subject.digest]);
    return {
      mediaType: OCI_MANIFEST,
      artifactType,
      annotations: { kind: artifactType },
      digest: sha256(body),
      size: body.length,
    };
  }

  it('of a subject are listed, also before it is here, and filtered by type', async () => {
    const running = await startRegistry();
    const target = `/v2/${REPOSITORY}/referrers/${subject.digest}`;
    const empty = await running.send('GET', target);
    expect([empty.status, empty.headers['content-type']]).toEqual([200, OCI_INDEX]);
    expect(JSON.parse(empty.body.toString())).toEqual({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
    const signature = await refer(running, 'application/x.signature');
    const bill = await refer(running, 'application/x.sbom+json');
    const all = (await json(running, target)).value as { manifests: object[] };
    expect(all.manifests).toHaveLength(2);
    expect(all.manifests).toEqual(expect.arrayContaining([signature, bill]));
    const some = await running.send('GET', `${target}?artifactType=application%2Fx.sbom%2Bjson`);
    expect(some.headers['oci-filters-applied']).toBe('artifactType');
    expect(JSON.parse(some.body.toString())).toMatchObject({ manifests: [bill] });
  });

  it('are gone when their manifest is deleted', async () => {
    const running = await startRegistry();
    const { digest } = (await refer(running, 'application/x.signature')) as { digest: string };
    await running.send('DELETE', `/v2/${REPOSITORY}/manifests/${digest}`);
    const { value } = await json(running, `/v2/${REPOSITORY}/referrers/${subject.digest}`);
    expect(value).toMatchObject({ manifests: [] });
  });

  it('with large annotations come in pages below 4 MiB', async () => {
    const running = await startRegistry();
    await running.pushBlob(REPOSITORY, '{}');
    for (const letter of ['a', 'b', 'c']) {
      const body = imageManifest('{}', [], { subject, annotations: { letter: letter.repeat(1_500_000) } });
      const headers = { 'Content-Type': OCI_MANIFEST };
      await running.send('PUT', `/v2/${REPOSITORY}/manifests/${letter}`, { headers, body });
    }
    const found = new Set<string>();
    let next: string | undefined = `/v2/${REPOSITORY}/referrers/${subject.digest}`;
    let pages = 0;
    while (next !== undefined) {
      const { value, link } = await json(running, next);
      for (const { digest } of (value as { manifests: { digest: string }[] }).manifests) found.add(digest);
      next = link === undefined ? undefined : /^<([^>]+)>; rel="next"$/.exec(link)?.[1];
      pages += 1;
    }
    expect([found.size, pages]).toEqual([3, 2]);
  });
});
