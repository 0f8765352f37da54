import { createHash } from 'node:crypto';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LocalName } from '../../../src/names/local-name.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import type { RegistryEvent } from '../../../src/server/settings/event.ts';
import { createRegistry } from '../../../src/server/server.ts';
import type { TransferEvent } from '../../../src/session/progress.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import type { Session } from '../../../src/session/session.ts';
import { cloneVm } from '../../../src/vm/clone.ts';
import { pushVm } from '../../../src/vm/push.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { freshSession, plantVm } from '../../support/home.ts';
import { HonestRegistry } from '../../support/honest-registry.ts';

const MIB = 1024 * 1024;

/** The embedded registry on a free port, and what it was asked. */
async function startRegistry(): Promise<{ at: string; requests: () => string[] }> {
  const events: RegistryEvent[] = [];
  const registry = createRegistry({ dataDirectory: temporaryDirectory(), log: (event) => void events.push(event) });
  const { port } = await registry.listen();
  onTestFinished(async () => registry.close());
  return {
    at: `127.0.0.1:${port}`,
    requests: () => events.flatMap((event) => (event.kind === 'request' ? `${event.method} ${event.path}` : [])),
  };
}

/** A VM with a disk of 9 MiB and 5 bytes: text, noise, the same noise again, and holes. */
function plantDiskVm(session: Session, name: string): string {
  const directory = `${session.home.vmsDirectory}/${name}`;
  plantVm(directory, '');
  const fd = openSync(`${directory}/disk.img`, 'w');
  const noise = createHash('sha512').update('seed').digest();
  const block = Buffer.concat(
    Array.from({ length: MIB / 64 }, (_, at) => createHash('sha512').update(noise).update(String(at)).digest()),
  );
  writeSync(fd, Buffer.alloc(MIB, 'the name you typed '), 0, MIB, 0);
  writeSync(fd, block, 0, MIB, 2 * MIB);
  writeSync(fd, block, 0, MIB, 3 * MIB);
  closeSync(fd);
  truncateSync(`${directory}/disk.img`, 9 * MIB + 5);
  return directory;
}

describe('pushing a VM', () => {
  it.each([
    ['one chunk', 512 * MIB],
    ['chunks of 1 MiB', MIB],
    ['chunks of an odd size', 777_777],
  ])('and pulling it elsewhere gives every byte back: %s', async (_, diskChunkBytes) => {
    const { at } = await startRegistry();
    const [here, there] = [freshSession(), freshSession()];
    const directory = plantDiskVm(here, 'vm');
    const name = RemoteName.parse(`${at}/org/vm:1.0`);
    await pushVm(here, 'vm', [name], { diskChunkBytes });
    await pull(there, name);
    await cloneVm(there, name.toString(), LocalName.parse('copy'));
    for (const file of ['disk.img', 'nvram.bin', 'config.json']) {
      expect(
        readFileSync(`${there.home.vmsDirectory}/copy/${file}`).equals(readFileSync(`${directory}/${file}`)),
        file,
      ).toBe(true);
    }
    expect(readdirSync(here.home.scratchDirectory)).toEqual([]);
  });

  it.each([false, true])(
    'an empty nvram.bin goes up as an empty blob (into the cache as well: %s)',
    async (populateCache) => {
      const { at } = await startRegistry();
      const [here, there] = [freshSession(), freshSession()];
      plantVm(`${here.home.vmsDirectory}/vm`, 'a disk');
      truncateSync(`${here.home.vmsDirectory}/vm/nvram.bin`, 0);
      const name = RemoteName.parse(`${at}/org/vm:1`);
      await pushVm(here, 'vm', [name], { populateCache });
      await pull(there, name);
      await cloneVm(there, name.toString(), LocalName.parse('copy'));
      expect(readFileSync(`${there.home.vmsDirectory}/copy/nvram.bin`)).toHaveLength(0);
    },
  );

  it('a file that goes while it is sent is a fault of the disk, told at once (P11)', async () => {
    const events: TransferEvent[] = [];
    const registry = await HonestRegistry.start();
    onTestFinished(async () => registry.server.close());
    const session = freshSession({ onEvent: (event) => events.push(event) });
    const nvram = `${session.home.vmsDirectory}/vm/nvram.bin`;
    plantVm(`${session.home.vmsDirectory}/vm`, 'a disk');
    let uploads = 0;
    registry.instead = ({ step }) => {
      if (step === 'start an upload') uploads += 1;
      // Two documents go up before it.
      if (uploads === 3) rmSync(nvram, { force: true });
      return undefined;
    };
    await expect(
      pushVm(session, 'vm', [RemoteName.parse(`${registry.server.authority}/org/vm:1`)]),
    ).rejects.toMatchObject({ code: 'DISK_IO', facts: { subject: nvram } });
    expect([uploads, events.filter(({ kind }) => kind === 'retrying')]).toEqual([3, []]);
  });

  it('writes the manifest that Tart would write', async () => {
    const { at } = await startRegistry();
    const session = freshSession({ now: () => new Date('2024-05-21T15:21:28.123Z') });
    plantDiskVm(session, 'vm');
    const [pushed] = await pushVm(session, 'vm', [RemoteName.parse(`${at}/org/vm:1`)], {
      diskChunkBytes: 8 * MIB,
      labels: new Map([['team', 'ci']]),
    });
    const text = Buffer.from(pushed?.manifest ?? '').toString();
    expect(
      text.startsWith(
        '{"annotations":{"org.cirruslabs.tart.uncompressed-disk-size":"9437189","org.cirruslabs.tart.upload-time":"2024-05-21T15:21:28Z"},"config":',
      ),
    ).toBe(true);
    const manifest = JSON.parse(text) as { layers: { mediaType: string; annotations: Record<string, string> }[] };
    expect(manifest.layers.map((layer) => layer.mediaType)).toEqual([
      'application/vnd.cirruslabs.tart.config.v1',
      'application/vnd.cirruslabs.tart.disk.v2',
      'application/vnd.cirruslabs.tart.disk.v2',
      'application/vnd.cirruslabs.tart.nvram.v1',
    ]);
    expect(manifest.layers[2]?.annotations['org.cirruslabs.tart.uncompressed-size']).toBe(String(MIB + 5));
  });

  it('a second time uploads nothing but the manifest, and reproducibly gives the same digest (tart-cli §7 #44)', async () => {
    const { at, requests } = await startRegistry();
    const session = freshSession();
    plantDiskVm(session, 'vm');
    const name = RemoteName.parse(`${at}/org/vm:1`);
    const [first] = await pushVm(session, 'vm', [name], { diskChunkBytes: MIB, reproducible: true });
    const before = requests().length;
    const [second] = await pushVm(session, 'vm', [name], { diskChunkBytes: MIB, reproducible: true });
    expect(second?.digest.toString()).toBe(first?.digest.toString());
    expect(second?.uploadedBytes).toBe(0);
    expect(
      requests()
        .slice(before)
        .filter((line) => line.startsWith('POST') || line.includes('/uploads/')),
    ).toEqual([]);
  });

  it('the same chunk is uploaded once', async () => {
    const { at } = await startRegistry();
    const session = freshSession();
    plantDiskVm(session, 'vm');
    const [pushed] = await pushVm(session, 'vm', [RemoteName.parse(`${at}/org/vm:1`)], {
      diskChunkBytes: MIB,
      concurrency: 1,
    });
    // Text and zeros shrink to almost nothing; the two blocks of noise are one blob.
    expect(pushed?.uploadedBytes).toBeGreaterThan(MIB);
    expect(pushed?.uploadedBytes).toBeLessThan(1.2 * MIB);
  });

  it('zeros go up once for each length, however many are under way at once', async () => {
    const { at, requests } = await startRegistry();
    const session = freshSession();
    plantVm(`${session.home.vmsDirectory}/vm`, '');
    truncateSync(`${session.home.vmsDirectory}/vm/disk.img`, 8.5 * MIB);
    const name = RemoteName.parse(`${at}/org/vm:1`);
    const [pushed] = await pushVm(session, 'vm', [name], { diskChunkBytes: MIB, concurrency: 8 });
    const { layers } = JSON.parse(Buffer.from(pushed?.manifest ?? []).toString()) as { layers: { digest: string }[] };
    const chunks = layers.slice(1, -1).map(({ digest }) => digest);
    expect([chunks.length, new Set(chunks.slice(0, 8)).size, new Set(chunks).size]).toEqual([9, 1, 2]);
    // The two lengths of zeros, and the stub, the configuration and the NVRAM.
    expect(requests().filter((line) => line.startsWith('PUT') && line.includes('/blobs/'))).toHaveLength(5);
  });

  it('zeros are told from what else was sent or reused, also when the disk is hashed again', async () => {
    const { at } = await startRegistry();
    const told: string[] = [];
    const session = freshSession({
      onEvent: (event) => {
        if (event.kind !== 'chunk-done' && event.kind !== 'chunk-reused') return;
        told.push(`${event.index} ${event.kind}${event.isZero === true ? ' zero' : ''}`);
      },
    });
    const disk = `${session.home.vmsDirectory}/vm/disk.img`;
    plantVm(`${session.home.vmsDirectory}/vm`, 'a disk');
    truncateSync(disk, 4 * MIB);
    const name = RemoteName.parse(`${at}/org/vm:1`);
    await pushVm(session, 'vm', [name], { diskChunkBytes: MIB });
    const zeros = told.filter((line) => line.endsWith('zero'));
    expect(zeros.map((line) => line.slice(1)).toSorted()).toEqual([
      ' chunk-done zero',
      ' chunk-reused zero',
      ' chunk-reused zero',
    ]);
    expect(told.filter((line) => line.startsWith('0'))).toEqual(['0 chunk-done']);
    told.length = 0;
    writeFileSync(disk, Buffer.alloc(MIB, 'another'), { flag: 'r+' });
    await pushVm(session, 'vm', [name], { diskChunkBytes: MIB });
    expect(told.toSorted()).toEqual([
      '0 chunk-done',
      '1 chunk-reused zero',
      '2 chunk-reused zero',
      '3 chunk-reused zero',
    ]);
  });

  it('several names of one repository share one upload; the manifest goes by digest first, tags last', async () => {
    const { at, requests } = await startRegistry();
    const session = freshSession();
    plantDiskVm(session, 'vm');
    const names = ['a', 'b'].map((tag) => RemoteName.parse(`${at}/org/vm:${tag}`)) as [RemoteName, RemoteName];
    const outcomes = await pushVm(session, 'vm', names, {});
    expect(outcomes).toHaveLength(1);
    const digest = outcomes[0]?.digest.toString() ?? '';
    expect(requests().filter((line) => line.startsWith('PUT') && line.includes('/manifests/'))).toEqual([
      `PUT /v2/org/vm/manifests/${digest}`,
      'PUT /v2/org/vm/manifests/a',
      'PUT /v2/org/vm/manifests/b',
    ]);
    expect(requests().findIndex((line) => line.includes('/manifests/'))).toBeGreaterThan(
      requests().findLastIndex((line) => line.includes('/blobs/')),
    );
  });

  it('in parts of a given size', async () => {
    const { at, requests } = await startRegistry();
    const session = freshSession();
    plantDiskVm(session, 'vm');
    const name = RemoteName.parse(`${at}/org/vm:1`);
    await pushVm(session, 'vm', [name], { uploadChunkBytes: 500_000 });
    expect(requests().filter((line) => line.startsWith('PATCH')).length).toBeGreaterThan(1);
    expect(await pull(freshSession(), name)).toMatchObject({ status: 'pulled' });
  });

  it('to a digest that it is not fails and names nothing', async () => {
    const { at, requests } = await startRegistry();
    const session = freshSession();
    plantDiskVm(session, 'vm');
    const wrong = RemoteName.parse(`${at}/org/vm@sha256:${'0'.repeat(64)}`);
    await expect(pushVm(session, 'vm', [wrong], {})).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(requests().filter((line) => line.startsWith('PUT') && line.includes('/manifests/'))).toEqual([]);
  });

  it('an unknown VM, an empty disk and a VM in use are refused (P19)', async () => {
    const { at } = await startRegistry();
    const session = freshSession();
    const name = RemoteName.parse(`${at}/org/vm:1`);
    await expect(pushVm(session, 'none', [name], {})).rejects.toMatchObject({ code: 'VM_NOT_FOUND' });
    plantVm(`${session.home.vmsDirectory}/empty`, '');
    await expect(pushVm(session, 'empty', [name], {})).rejects.toMatchObject({ code: 'VM_INVALID' });
    plantDiskVm(session, 'busy');
    const lock = await session.vms.hold(await session.vms.require(LocalName.parse('busy')));
    await expect(pushVm(session, 'busy', [name], {})).rejects.toMatchObject({ code: 'BUSY' });
    await lock.release();
  });
});
