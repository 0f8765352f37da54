import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LocalName } from '../../../src/names/local-name.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import type { TransferEvent } from '../../../src/session/progress.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import { previewPull } from '../../../src/transfer/pull/pull-preview.ts';
import type { Session } from '../../../src/session/session.ts';
import { cloneVm } from '../../../src/vm/clone.ts';
import { inspect } from '../../../src/vm/inspect.ts';
import { listVms } from '../../../src/vm/listing.ts';
import { configJson, freshSession } from '../../support/home.ts';
import { manifestRoute, serveImage } from '../../support/scripted-image.ts';
import { ScriptedRegistry } from '../../support/scripted-registry.ts';
import { json, overlayLayer, sha256, tinyImage, type TinyImage, tinyManifest } from '../../support/tart-image.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

const vm = tinyImage({ chunks: [Buffer.from('one VM')], config: Buffer.from(configJson()) });
const otherVm = tinyImage({ chunks: [Buffer.from('another VM')] });
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: `sha256:${'4'.repeat(64)}`, size: 9 };
const container = tinyManifest({ layers: [layer] });
const stacked = tinyManifest({ layers: [overlayLayer()] });
const DARWIN = { os: 'darwin', architecture: 'arm64' };
const LINUX = { os: 'linux', architecture: 'amd64' };
/** What BuildKit says of its records. */
const UNKNOWN = { os: 'unknown', architecture: 'unknown' };

const entry = (manifest: Uint8Array, platform?: object): object => {
  return { mediaType: MANIFEST, digest: sha256(manifest), size: manifest.length, platform };
};

/** A registry with `org/vm:1`, an index of these entries; `images` and `manifests` are there as well. */
async function serving(
  entries: readonly object[],
  images: readonly TinyImage[],
  manifests: readonly Uint8Array[] = [],
) {
  const registry = await ScriptedRegistry.start();
  onTestFinished(async () => registry.close());
  const index = json({ schemaVersion: 2, mediaType: INDEX, manifests: entries });
  for (const image of images) serveImage(registry, 'org/vm', `of-${image.digest.slice(7, 15)}`, image);
  for (const bytes of manifests)
    registry.on(manifestRoute('org/vm', sha256(bytes)), { headers: { 'content-type': MANIFEST }, body: bytes });
  for (const reference of ['1', sha256(index)])
    registry.on(manifestRoute('org/vm', reference), { headers: { 'content-type': INDEX }, body: index });
  const nameAt = (suffix: string): RemoteName => RemoteName.parse(`${registry.authority}/org/vm${suffix}`);
  return { registry, index, digest: sha256(index), nameAt };
}

const around = async () =>
  serving([entry(container, LINUX), entry(vm.manifest, DARWIN), entry(stacked, UNKNOWN)], [vm], [container]);

const repository = (session: Session, name: RemoteName): string =>
  `${session.home.imagesDirectory}/${name.registry.toString().replace(':', '%3A')}/org/vm`;

describe('an index around one VM image (Q19)', () => {
  it('is followed by a pull, and the image is kept under the digest of its own manifest, where Tart looks for it', async () => {
    const { nameAt, digest } = await around();
    const events: TransferEvent[] = [];
    const session = freshSession({ onEvent: (event) => events.push(event) });
    const outcome = await pull(session, nameAt(':1'));
    expect([outcome.status, outcome.digest.toString()]).toEqual(['pulled', vm.digest]);
    const directory = `${repository(session, nameAt(':1'))}/${vm.digest}`;
    expect(readFileSync(`${directory}/manifest.json`).equals(vm.manifest)).toBe(true);
    expect(readFileSync(`${directory}/disk.img`).equals(vm.disk)).toBe(true);
    expect(readlinkSync(`${directory}/../1`)).toBe(directory);
    expect(events).toContainEqual({
      kind: 'note',
      subject: nameAt(':1').toString(),
      text: `${nameAt(':1').toString()} is the index ${digest}: taking its one VM image, ${vm.digest}`,
    });
    expect((await pull(session, nameAt(':1'))).status).toBe('present');
    expect((await previewPull(session, nameAt(':1'))).digest.toString()).toBe(vm.digest);
  });

  it.each([
    ['the digest of the index', (index: string) => `@${index}`],
    ['a tag and the digest of the index', (index: string) => `:1@${index}`],
    ['a tag and the digest of the image', () => `:1@${vm.digest}`],
  ])('is cloned by %s', async (_what, suffix) => {
    const { nameAt, digest } = await around();
    const session = freshSession();
    await cloneVm(session, nameAt(suffix(digest)).toString(), LocalName.parse('clone'));
    expect(readFileSync(`${session.home.vmsDirectory}/clone/disk.img`).equals(vm.disk)).toBe(true);
    const names = (await listVms(session)).map((row) => row.name);
    expect(names).toContain(nameAt(`@${vm.digest}`).toString());
    expect(names.filter((name) => name.includes(digest))).toEqual([]);
  });

  it('is inspected: both digests are told, and the manifest is that of the image', async () => {
    const { nameAt, digest } = await around();
    const options = { where: 'remote', insecure: false } as const;
    const told = await inspect(freshSession(), nameAt(':1').toString(), options);
    expect(told).toMatchObject({ kind: 'remote', index: digest, manifest: { digest: vm.digest, layout: 'flat' } });
    const plain = await inspect(freshSession(), nameAt(`@${vm.digest}`).toString(), options);
    expect(plain).toMatchObject({ index: undefined, manifest: { digest: vm.digest } });
  });

  it('is not what another digest beside the tag means', async () => {
    const { nameAt } = await around();
    const failure = pull(freshSession(), nameAt(`:1@sha256:${'0'.repeat(64)}`));
    await expect(failure).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('of a mirror that left the others out is followed, too', async () => {
    const { registry, nameAt } = await serving([entry(container, LINUX), entry(vm.manifest, DARWIN)], [vm]);
    registry.on(manifestRoute('org/vm', sha256(container)), { status: 404 });
    expect((await pull(freshSession(), nameAt(':1'))).digest.toString()).toBe(vm.digest);
  });

  it('around a flat and a stacked image: only the flat one can be cloned here', async () => {
    const { nameAt } = await serving([entry(stacked, DARWIN), entry(vm.manifest, DARWIN)], [vm], [stacked]);
    const session = freshSession();
    await cloneVm(session, nameAt(':1').toString(), LocalName.parse('clone'));
    expect(existsSync(`${session.home.vmsDirectory}/clone/disk.img`)).toBe(true);
  });
});

describe('an index that is not around one VM image (Q19)', () => {
  it('of two: both are listed by their whole digests, and one of them is the next step', async () => {
    const { nameAt } = await serving([entry(vm.manifest, DARWIN), entry(otherVm.manifest)], [vm, otherVm]);
    const message = `${nameAt(':1').toString()} is an image index of 2 VM images: darwin/arm64 ${vm.digest}, ${otherVm.digest}`;
    const next = { kind: 'choose-by-digest', example: nameAt(`@${vm.digest}`).toString() };
    const expected = { code: 'MEDIA_UNSUPPORTED', message, facts: { next } };
    await expect(pull(freshSession(), nameAt(':1'))).rejects.toMatchObject(expected);
    const options = { where: 'remote', insecure: false } as const;
    await expect(inspect(freshSession(), nameAt(':1').toString(), options)).rejects.toMatchObject(expected);
  });

  it('of none: what it offers is listed by whole digests', async () => {
    const { nameAt } = await serving([entry(container, LINUX)], [], [container]);
    await expect(pull(freshSession(), nameAt(':1'))).rejects.toMatchObject({
      code: 'MEDIA_UNSUPPORTED',
      message: `${nameAt(':1').toString()} is an image index without a VM image; it offers linux/amd64 ${sha256(container)}`,
    });
  });

  it('of very many: none of them is asked for', async () => {
    const many = Array.from({ length: 17 }, () => entry(container, LINUX));
    const { registry, nameAt } = await serving(many, []);
    await expect(pull(freshSession(), nameAt(':1'))).rejects.toMatchObject({
      message: expect.stringContaining('is an index of many images; it offers linux/amd64 sha256:') as string,
    });
    expect(registry.requests).toHaveLength(1);
  });
});
