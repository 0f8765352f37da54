import { expect, it } from 'vitest';
import type { RegistryOptions } from '../../../src/server/settings/options.ts';
import { eventually, type RunningRegistry, startRegistry } from '../running-registry.ts';
import { readable } from './readable.ts';
import { chunksOf, pushSample, setTags } from './sample-images.ts';

const NOW = Date.parse('2026-11-30T12:00:00Z');
const HTML = { headers: { Accept: 'text/html' } };

async function start(options: Partial<RegistryOptions> = {}): Promise<RunningRegistry> {
  return startRegistry({
    page: { pullCommand: (image, isPlainHttp) => `tartlet pull ${image}${isPlainHttp ? ' --insecure' : ''}` },
    now: () => NOW,
    ...options,
  });
}

async function read({ send }: Pick<RunningRegistry, 'send'>, target: string, status = 200): Promise<string> {
  const answer = await send('GET', target, HTML);
  expect([target, answer.status, answer.headers['content-type']]).toEqual([target, status, 'text/html; charset=utf-8']);
  return readable(answer.body);
}

/** Two images of 3 GiB that share 1 GiB on the disk, of which 256 MiB are stored, and one beside them. */
async function pushThree(registry: RunningRegistry): Promise<void> {
  const part = (content: string, stored: number): { content: string; size: number; stored: number } => ({
    content,
    size: 1024,
    stored,
  });
  await pushSample(registry, 'linux/debian', '11', {
    chunks: [part('base', 256), part('eleven', 100), part('zeros', 4.4)],
    pushedAt: '2025-11-29T12:00:00Z',
  });
  await pushSample(registry, 'linux/debian', '12', {
    chunks: [part('base', 256), part('twelve', 512), part('zeros', 4.4)],
    labels: { 'org.example.team': 'Build & Test' },
    annotations: { 'org.opencontainers.image.description': 'Debian 12' },
  });
  await pushSample(registry, 'macos/sequoia', 'latest', { chunks: [part('apple', 700)], config: { os: 'darwin' } });
}

it('lists repositories with what they were used for', async () => {
  const registry = await start();
  expect(await read(registry, '/')).toMatch(/^Repositories There is nothing here yet/);
  await pushThree(registry);
  const digest = (await registry.send('GET', '/v2/linux/debian/manifests/12')).headers['docker-content-digest'];
  await registry.send('GET', `/v2/linux/debian/manifests/${String(digest)}`);
  await registry.send('HEAD', '/v2/macos/sequoia/manifests/latest');
  await registry.send('GET', '/v2/macos/sequoia/manifests/missing');
  await eventually('they are counted', async () => /linux\/debian 2 2 /.test(await read(registry, '/')));
  const page = await read(registry, '/');
  expect(page).toMatch(/Name Tags Pulls Sent Last used linux\/debian 2 2 \d\.\d KB just now macos\/sequoia 1 0 – –/);
});

it('tells of each tag how old and how large it is, and what it shares', async () => {
  const registry = await start();
  await pushThree(registry);
  const page = await read(registry, '/repository/linux/debian');
  expect(page).toContain('linux/debian Not pulled since this server was started.');
  // 1 GiB for each part; stored 256 + 100 + 4.4 MiB; shared the base and the zeros, the NVRAM and the configuration.
  expect(page).toContain('Tag Pushed Disk Stored Shared 11 1 year ago 3.2 GB 377.9 MB 273.0 MB');
  expect(page).toContain('12 3 days ago 3.2 GB 809.9 MB 273.0 MB');
  expect(page).toContain('Compared with 3 images, all that you can read here.');
});

it('shows an image with its command, its machine, its disk in words and where it is shared', async () => {
  const registry = await start();
  await pushThree(registry);
  const page = await read(registry, '/image/linux/debian:12');
  expect(page).toContain(`Pull tartlet pull 127.0.0.1:${registry.port}/linux/debian:12 Copy`);
  expect(page).toContain('Pushed 3 days ago Disk 3.2 GB Stored 809.9 MB Shared 273.0 MB');
  expect(page).toContain('Machine Linux, arm64, 4 CPUs, 4.3 GB of memory');
  expect(page).toContain(
    'Disk of 3.2 GB: 2.1 GB in parts with data, 1.1 GB of it in other images too; 1.1 GB in parts with zeros only.',
  );
  expect(page).toContain('Image Where on the disk Stored once linux/debian:11 273.0 MB');
  expect(page).toContain('Disk 0 B 1.1 GB 268.4 MB shared with 1 Disk 1.1 GB 1.1 GB 536.9 MB only here');
  expect(page).toContain('Disk 2.1 GB 1.1 GB 4.6 MB zeros');
  expect(page).toContain('Labels 1 org.example.team Build & Test');
  expect(page).toContain('org.opencontainers.image.description Debian 12');
  const markup = (await registry.send('GET', '/image/linux/debian:12')).body.toString('utf8');
  expect(markup).toMatch(/<svg class="disk" role="img" aria-label="Disk of 3\.2 GB: 2\.1 GB in parts with data/);
  // The first third is shared and half as dense as the second.
  expect(markup).toContain('<rect class="shared" x="0" y="0" width="332.3" height="50"></rect>');
  expect(markup).toContain('<rect class="own" x="333.3" y="-100" width="332.4" height="100"></rect>');
});

it('shows stacked disks, images of other kinds, indexes, and what it cannot read', async () => {
  const registry = await start();
  const overlays = [chunksOf(['top', '0'], 64)];
  await pushSample(registry, 'macos/stacked', '1', { chunks: chunksOf(['base', '0']), overlays });
  const stacked = await read(registry, '/image/macos/stacked:1');
  expect(stacked).toContain('Base disk of 1.1 GB: 536.9 MB in parts with data');
  expect(stacked).toContain('Overlay 1 of 134.2 MB: 67.1 MB in parts with data');
  const other = await registry.pushImage('tools/runner', 'v1', { subject: undefined });
  const page = await read(registry, '/image/tools/runner:v1');
  expect(page).toContain(`Name 127.0.0.1:${registry.port}/tools/runner:v1 Copy`);
  expect(page).toContain('Blobs No. Digest Stored 1 sha256:');
  expect(await read(registry, '/repository/tools/runner')).toContain('v1 other image');
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const entry = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: other, size: 7 };
  const index = {
    schemaVersion: 2,
    mediaType,
    manifests: [{ ...entry, platform: { os: 'linux', architecture: 'arm64' } }],
  };
  const headers = { 'Content-Type': mediaType };
  const put = await registry.send('PUT', '/v2/tools/runner/manifests/all', { headers, body: JSON.stringify(index) });
  expect(put.status).toBe(201);
  expect(await read(registry, '/image/tools/runner:all')).toContain(`Manifests linux/arm64 ${other}`);
  expect(await read(registry, `/image/tools/runner@${other}`)).toContain(other);
  await pushSample(registry, 'macos/broken', '1', {
    chunks: [{ content: 'x', size: 1024, stored: 1 }],
    annotations: { 'org.cirruslabs.tart.uncompressed-disk-size': '7' },
  });
  expect(await read(registry, '/image/macos/broken:1')).toContain('The manifest is invalid: disk chunk 0 claims');
});

it('says in words what is not there, and in JSON to programs', async () => {
  const registry = await start();
  await pushThree(registry);
  for (const target of [
    '/repository/linux/none',
    '/image/linux/debian:none',
    '/image/linux/debian',
    '/what',
    '/page/x',
  ]) {
    expect(await read(registry, target, 404)).toMatch(/^Not found .* All repositories$/);
    expect((await registry.send('GET', target)).headers['content-type']).toBe('application/json');
  }
  expect(await read(registry, '/repository/UPPER', 400)).toMatch(/^This did not work /);
  expect((await registry.send('POST', '/')).status).toBe(405);
  expect((await registry.send('HEAD', '/')).body).toHaveLength(0);
  expect((await registry.send('GET', '/v2/x/tags/list', HTML)).codes).toEqual(['NAME_UNKNOWN']);
});

it('has no page where none was asked for', async () => {
  const { send } = await startRegistry();
  for (const target of ['/', '/page/style.css', '/repository/x', '/image/x:1']) {
    expect((await send('GET', target)).status).toBe(404);
  }
});

it('shows long lists in parts, from any name on', async () => {
  const registry = await start();
  await registry.pushImage('team/many', 'tag-000');
  const tags = Array.from({ length: 119 }, (_, at) => `tag-${String(at + 1).padStart(3, '0')}`);
  await setTags(registry, 'team/many:tag-000', tags.slice(0, 99));
  await setTags(registry, 'team/many:tag-000', tags.slice(99));
  const tagsOf = async (target: string): Promise<string[]> =>
    Array.from(
      (await registry.send('GET', target)).body.toString('utf8').matchAll(/many:(tag-\d+)"/g),
      ([, tag]) => tag ?? '',
    );
  const first = await registry.send('GET', '/repository/team/many');
  expect(first.body.toString()).toContain('<a rel="next" href="/repository/team/many?after=tag-049">Next page</a>');
  expect(await tagsOf('/repository/team/many')).toHaveLength(50);
  expect((await tagsOf('/repository/team/many?after=tag-049'))[0]).toBe('tag-050');
  const last = await registry.send('GET', '/repository/team/many?after=tag-099');
  expect(last.body.toString()).not.toContain('rel="next"');
  expect(last.body.toString()).toContain('<a href="/repository/team/many">First page</a>');
  expect(await tagsOf('/repository/team/many?from=tag-110')).toEqual(
    Array.from({ length: 10 }, (_, at) => `tag-${110 + at}`),
  );
  expect((await tagsOf('/repository/team/many?from=tag-1'))[0]).toBe('tag-100');
  const cursors = await registry.send('GET', '/repository/team/many?from=%22%3E%3Cscript%3E');
  expect(cursors.body.toString()).toContain('value="&quot;&gt;&lt;script&gt;"');
  expect(await read(registry, '/?from=team/many')).toContain('team/many over 100');
  expect(await read(registry, '/?after=team/many')).toContain('No repository that you can read');
});
