import { existsSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LocalName } from '../../src/names/local-name.ts';
import type { TransferEvent } from '../../src/session/progress.ts';
import type { Session } from '../../src/session/session.ts';
import { cloneVm } from '../../src/vm/clone.ts';
import { inspect } from '../../src/vm/inspect.ts';
import { listVms } from '../../src/vm/listing.ts';
import { freshSession } from '../support/home.ts';
import { runVm } from '../support/running-vm.ts';
import { noise, plantStackedImage, plantStackedVm, tinyStackedImage } from '../support/stacked-image.ts';
import { startStaticRegistry } from '../support/static-registry.ts';
import { sha256 } from '../support/tart-image.ts';

const MIB = 1024 * 1024;
const BASE = noise(MIB, 1);
const image = tinyStackedImage({ levels: [[BASE], [noise(9000, 2)]], guestBytes: 80_000_000_000 });
const other = tinyStackedImage({ levels: [[BASE], [noise(5000, 3)]], guestBytes: 60_000_000_000 });
const REPOSITORY = 'registry.corp:8221/macos/base';

async function sizes(session: Session): Promise<Record<string, [number, number]>> {
  const rows = await listVms(session, 'oci');
  return Object.fromEntries(
    rows.map((row) => [row.name.replace(REPOSITORY, ''), [row.logicalBytes, row.allocatedBytes]]),
  );
}

describe('listing stacked images', () => {
  it('shows the disk that a guest would see, and counts a shared file for the image that was used last', async () => {
    const session = freshSession();
    const first = plantStackedImage(session, REPOSITORY, image, 'v1');
    const second = plantStackedImage(session, REPOSITORY, other, 'v2');
    utimesSync(first, 1_000_000, 1_000_000);
    utimesSync(second, 2_000_000, 2_000_000);
    const before = await sizes(session);
    expect(before[':v1']?.[0]).toBe(80_000_000_000);
    expect(before[':v2']?.[0]).toBe(60_000_000_000);
    expect(before[`@${other.digest}`]).toEqual(before[':v2']);
    expect(before[':v1']?.[1]).toBeLessThan(MIB);
    expect(before[':v2']?.[1]).toBeGreaterThanOrEqual(MIB);
    utimesSync(first, 3_000_000, 3_000_000);
    const after = await sizes(session);
    expect(after[':v1']?.[1]).toBeGreaterThanOrEqual(MIB);
    expect(after[':v2']?.[1]).toBeLessThan(MIB);
  });

  it('of equally old ones, the greater path pays', async () => {
    const session = freshSession();
    const directories = [plantStackedImage(session, REPOSITORY, image, 'v1')];
    directories.push(plantStackedImage(session, REPOSITORY, other, 'v2'));
    for (const directory of directories) utimesSync(directory, 1_000_000, 1_000_000);
    const shown = await sizes(session);
    const [greater, lesser] = image.digest > other.digest ? [':v1', ':v2'] : [':v2', ':v1'];
    expect(shown[greater ?? '']?.[1]).toBeGreaterThanOrEqual(MIB);
    expect(shown[lesser ?? '']?.[1]).toBeLessThan(MIB);
  });

  it('goes on where a file of the store or the manifest is not what it should be', async () => {
    const session = freshSession();
    plantStackedImage(session, REPOSITORY, image, 'v1');
    const broken = plantStackedImage(session, REPOSITORY, other, 'v2');
    rmSync(session.home.contentDirectory, { recursive: true });
    writeFileSync(`${broken}/manifest.json`, 'not JSON');
    const shown = await sizes(session);
    // Without its manifest nobody could use the other one.
    expect(Object.keys(shown)).toHaveLength(2);
    expect(shown[':v1']?.[0]).toBe(80_000_000_000);
    expect(shown[':v1']?.[1]).toBeLessThan(MIB);
  });
});

describe('inspecting a stacked image', () => {
  it('shows base and overlays, and which are here', async () => {
    const session = freshSession();
    plantStackedImage(session, REPOSITORY, image, 'v1');
    rmSync(`${session.home.contentDirectory}/sha256/${sha256(noise(9000, 2)).slice('sha256:'.length)}`);
    expect(await inspect(session, `${REPOSITORY}:v1`, { where: 'here', insecure: false })).toMatchObject({
      kind: 'cached',
      layout: 'stacked-cached',
      manifestIsOriginal: true,
      manifest: {
        layout: 'stacked',
        diskBytes: 80_000_000_000,
        stack: [
          { role: 'base', digest: sha256(BASE), bytes: MIB, chunks: 1, isStored: true },
          { role: 'overlay', digest: sha256(noise(9000, 2)), bytes: 9000, chunks: 1, isStored: false },
        ],
      },
    });
  });
});

describe('cloning', () => {
  const clone = LocalName.parse('clone');

  it('a stacked image is refused with what is possible, and changes nothing', async () => {
    const session = freshSession();
    plantStackedImage(session, REPOSITORY, image, 'v1');
    await expect(cloneVm(session, `${REPOSITORY}:v1`, clone)).rejects.toMatchObject({
      code: 'MEDIA_UNSUPPORTED',
      message: `${REPOSITORY}:v1 is a stacked image: a VM of it needs an overlay of its own, which only macOS 27 can make`,
      facts: { next: { kind: 'clone-with-tart' } },
    });
    expect(existsSync(session.home.vmsDirectory)).toBe(false);
  });

  it('a stacked image that is not cached is not even fetched', async () => {
    const registry = await startStaticRegistry({ latest: image });
    const session = freshSession();
    await expect(cloneVm(session, `${registry.address}/org/vm:latest`, clone)).rejects.toMatchObject({
      code: 'MEDIA_UNSUPPORTED',
    });
    expect(registry.blobRequests()).toEqual([]);
    expect(existsSync(session.home.imagesDirectory)).toBe(false);
  });

  it('a stacked VM copies it with its overlay, and says where it runs', async () => {
    const events: TransferEvent[] = [];
    const session = freshSession({ onEvent: (event) => void events.push(event) });
    const source = `${session.home.vmsDirectory}/mine`;
    plantStackedVm(source, image);
    await cloneVm(session, 'mine', clone);
    const made = `${session.home.vmsDirectory}/clone`;
    expect(readdirSync(made).sort()).toEqual([
      '.origin.json',
      'config.json',
      'manifest.json',
      'nvram.bin',
      'overlay.asif',
    ]);
    expect(readFileSync(`${made}/manifest.json`).equals(image.manifest)).toBe(true);
    expect(readFileSync(`${made}/overlay.asif`, 'utf8')).toBe('private overlay');
    expect(readFileSync(`${made}/config.json`, 'utf8')).not.toBe(readFileSync(`${source}/config.json`, 'utf8'));
    expect(events).toContainEqual({
      kind: 'note',
      subject: 'mine',
      text: 'mine is a stacked VM: its clone is one too, and runs with Tart on macOS 27 only',
    });
    expect((await listVms(session)).map((row) => [row.name, row.state])).toEqual([
      ['clone', 'stopped'],
      ['mine', 'stopped'],
    ]);
  });

  it('a stacked VM that runs or is suspended is refused', async () => {
    const session = freshSession();
    const source = `${session.home.vmsDirectory}/mine`;
    plantStackedVm(source, image);
    writeFileSync(`${source}/state.vzvmsave`, 'memory');
    await expect(cloneVm(session, 'mine', clone)).rejects.toMatchObject({ code: 'BUSY' });
    rmSync(`${source}/state.vzvmsave`);
    await runVm(source);
    await expect(cloneVm(session, 'mine', clone)).rejects.toMatchObject({ code: 'BUSY' });
    expect(readdirSync(session.home.vmsDirectory)).toEqual(['mine']);
  });
});
