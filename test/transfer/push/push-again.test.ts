import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { markUnmodified } from '../../../src/home/unmodified-marker.ts';
import { OurFile } from '../../../src/home/home-entry.ts';
import { Digest } from '../../../src/names/digest.ts';
import { LocalName } from '../../../src/names/local-name.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { Tag } from '../../../src/names/tag.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import type { Session, SessionOptions } from '../../../src/session/session.ts';
import { cloneVm } from '../../../src/vm/clone.ts';
import { pushVm, type PushVmOptions } from '../../../src/vm/push.ts';
import { setVm } from '../../../src/vm/set.ts';
import { freshSession, plantVm } from '../../support/home.ts';
import { type MeddlingRegistry, startMeddlingRegistry } from '../../support/meddling-registry.ts';
import { needsSeals } from '../../support/unmodified-marker.ts';
import { noise } from '../../support/stacked-image.ts';
import { sha256, storedStream } from '../../support/tart-image.ts';

const PIECE = 196_608;
const [A, B, C, D] = [1, 2, 3, 4].map((salt) => noise(PIECE, salt)) as [Buffer, Buffer, Buffer, Buffer];
const CI = LocalName.parse('ci');

/** Blobs of stored blocks, which our encoder never makes: a blob of these in a manifest was used again, not encoded. */
function blobOf(content: Buffer): string {
  return sha256(storedStream(content));
}

/**
 * A VM of the contents A, B and C, a registry, and how many threads the last push took: those that read and send chunks
 * of a disk.
 */
class Pushes {
  readonly session: Session;
  threads: number | undefined;

  readonly registry: MeddlingRegistry;

  private constructor(registry: MeddlingRegistry, options: Partial<SessionOptions>) {
    this.registry = registry;
    this.session = freshSession({
      ...options,
      onEvent: (event) => {
        if (event.kind === 'spent') this.threads = event.threads;
      },
    });
    plantVm(this.directory, Buffer.concat([A, B, C]));
  }

  static async begin(options: Partial<SessionOptions> = {}): Promise<Pushes> {
    return new Pushes(await startMeddlingRegistry(), options);
  }

  get directory(): string {
    return `${this.session.home.vmsDirectory}/ci`;
  }

  get disk(): string {
    return `${this.directory}/disk.img`;
  }

  name(repository: string, tag = 'next', registry = this.registry): RemoteName {
    return RemoteName.parse(`${registry.at}/${repository}:${tag}`);
  }

  async push(name: RemoteName, options: PushVmOptions = {}, vm = 'ci') {
    const outcomes = await pushVm(this.session, vm, [name], { diskChunkBytes: PIECE, ...options });
    return this.told(outcomes[0]);
  }

  told(outcome: Awaited<ReturnType<typeof pushVm>>[number] | undefined) {
    if (outcome === undefined) throw new Error('nothing was pushed');
    const manifest = JSON.parse(Buffer.from(outcome.manifest).toString()) as { layers: { digest: string }[] };
    const chunks = manifest.layers.slice(1, -1).map((layer) => layer.digest);
    return { chunks, uploadedBytes: outcome.uploadedBytes, threads: this.threads };
  }

  /**
   * Pushes, and lets the record say that stored blocks are what the contents became: a push that names them believed
   * it.
   */
  async pushAsStored(repository = 'org/vm'): Promise<void> {
    await this.push(this.name(repository, 'first'), { reproducible: true });
    const file = `${this.directory}/${OurFile.pushedManifest}`;
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as { layers: { digest: string; size: number }[] };
    for (const [index, content] of [A, B, C].entries()) {
      const blob = storedStream(content);
      await this.registry.pushBlob(repository, blob, sha256(blob));
      Object.assign(manifest.layers[index + 1] ?? {}, { digest: sha256(blob), size: blob.length });
    }
    const bytes = JSON.stringify(manifest);
    writeFileSync(file, bytes);
    const to = `${this.directory}/.pushed-to.json`;
    writeFileSync(to, readFileSync(to, 'utf8').replace(/sha256:[0-9a-f]{64}/, sha256(Buffer.from(bytes))));
    // Nothing is marked as unmodified as what was made up here, until the next push has read it.
    rmSync(`${this.directory}/${OurFile.marker}`, { force: true });
  }

  /** Writes so that only the time that cannot be set tells of it. */
  writeSecretly(bytes: Buffer): void {
    const { atime, mtime } = statSync(this.disk);
    writeFileSync(this.disk, bytes, { flag: 'r+' });
    utimesSync(this.disk, atime, mtime);
  }

  /** Pulls into an empty home, where every blob and every content is checked, and compares. */
  async expectPulled(name: RemoteName, disk = this.disk): Promise<void> {
    const elsewhere = freshSession();
    await pull(elsewhere, name);
    const image = await elsewhere.images.find(name);
    expect(readFileSync(`${image?.directory.path ?? ''}/disk.img`).equals(readFileSync(disk))).toBe(true);
  }
}

describe('a disk without writes since it was pushed', () => {
  beforeEach(needsSeals);

  it('is not read by the next push, which sends its manifest alone', async () => {
    const pushes = await Pushes.begin();
    const first = await pushes.push(pushes.name('org/vm', 'first'));
    const next = await pushes.push(pushes.name('org/vm'));
    expect(first.threads).toBeGreaterThan(0);
    expect(next).toEqual({ chunks: first.chunks, uploadedBytes: 0, threads: 0 });
    await pushes.expectPulled(pushes.name('org/vm'));
  });

  it('is not read for another repository of the registry, where its blobs are mounted', async () => {
    const pushes = await Pushes.begin();
    const { chunks } = await pushes.push(pushes.name('org/vm'));
    const other = await pushes.push(pushes.name('other/vm'));
    expect([other.threads, other.chunks]).toEqual([0, chunks]);
    expect(other.uploadedBytes).toBeLessThan(1000);
    await pushes.expectPulled(pushes.name('other/vm'));
  });

  it('is read once by a push to two repositories', async () => {
    const pushes = await Pushes.begin();
    const names = [pushes.name('org/vm'), pushes.name('other/vm')] as const;
    const outcomes = await pushVm(pushes.session, 'ci', names, { diskChunkBytes: PIECE });
    const [first, second] = outcomes.map((outcome) => pushes.told(outcome));
    expect(second?.chunks).toEqual(first?.chunks);
    expect(second?.threads).toBe(0);
    await pushes.expectPulled(names[1]);
  });

  it('is sent whole to another registry, and the second time not at all', async () => {
    const pushes = await Pushes.begin();
    const elsewhere = pushes.name('org/vm', 'next', await startMeddlingRegistry());
    await pushes.push(pushes.name('org/vm'));
    const sent = await pushes.push(elsewhere);
    expect(sent.threads).toBeGreaterThan(0);
    expect(sent.uploadedBytes).toBeGreaterThan(10_000);
    const again = await pushes.push(elsewhere.withTag(Tag.parse('again')));
    expect(again).toEqual({ chunks: sent.chunks, uploadedBytes: 0, threads: 0 });
    await pushes.expectPulled(elsewhere.withTag(Tag.parse('again')));
  });

  it.each<[string, (pushes: Pushes) => Promise<string | void>]>([
    ['whose configuration was changed', async ({ session }) => void (await setVm(session, CI, { cpuCount: 6 }))],
    [
      'which has another name now',
      async ({ session }) => {
        await session.vms.rename(CI, LocalName.parse('other'));
        return 'other';
      },
    ],
  ])('is not read when it belongs to a VM %s', async (_, happens) => {
    const pushes = await Pushes.begin();
    await pushes.push(pushes.name('org/vm', 'first'));
    const vm = (await happens(pushes)) ?? 'ci';
    expect((await pushes.push(pushes.name('org/vm'), {}, vm)).threads).toBe(0);
  });

  it('is read when it is stored in the cache as well, and is known without reading afterwards', async () => {
    const pushes = await Pushes.begin();
    await pushes.push(pushes.name('org/vm', 'first'));
    expect((await pushes.push(pushes.name('org/vm'), { populateCache: true })).threads).toBeGreaterThan(0);
    expect((await pushes.push(pushes.name('org/vm', 'last'))).threads).toBe(0);
  });
});

describe('a disk that is not known to be what was pushed is pushed as it is', () => {
  it.each<[string, (pushes: Pushes) => void]>([
    ['when a process wrote to it and set the date back', (pushes) => pushes.writeSecretly(Buffer.concat([A, D, C]))],
    [
      'when another one lies in its place',
      ({ disk }) => {
        writeFileSync(`${disk}.new`, Buffer.concat([A, D, C]));
        renameSync(`${disk}.new`, disk);
      },
    ],
  ])('%s', async (_, happens) => {
    const pushes = await Pushes.begin();
    const { chunks } = await pushes.push(pushes.name('org/vm', 'first'));
    happens(pushes);
    const next = await pushes.push(pushes.name('org/vm'));
    expect(next.chunks).toEqual([chunks[0], expect.not.stringMatching(chunks[1] ?? ''), chunks[2]]);
    await pushes.expectPulled(pushes.name('org/vm'));
  });

  it('when a process wrote to it while it was pushed, although its date is the same', async () => {
    const pushes = await Pushes.begin();
    pushes.registry.meddle = ({ method, url }) => {
      if (method === 'PUT' && url?.includes('/manifests/') === true) pushes.writeSecretly(Buffer.concat([A, D, C]));
      return false;
    };
    await pushes.push(pushes.name('org/vm', 'first'));
    pushes.registry.meddle = () => false;
    expect((await pushes.push(pushes.name('org/vm'))).threads).toBeGreaterThan(0);
    await pushes.expectPulled(pushes.name('org/vm'));
  });
});

describe('a disk that was pushed and is hashed', () => {
  it('has what changed encoded, and the blobs of the rest used again', async () => {
    const pushes = await Pushes.begin();
    await pushes.pushAsStored();
    pushes.writeSecretly(Buffer.concat([A, D, C]));
    const { chunks } = await pushes.push(pushes.name('org/vm'));
    expect(chunks).toEqual([blobOf(A), expect.not.stringMatching(blobOf(B)), blobOf(C)]);
    await pushes.expectPulled(pushes.name('org/vm'));
  });

  it('is not encoded where no file system tells whether it was written to', async () => {
    const pushes = await Pushes.begin({ platform: 'freebsd' });
    await pushes.pushAsStored();
    const { chunks, threads } = await pushes.push(pushes.name('org/vm'));
    expect(chunks).toEqual([A, B, C].map(blobOf));
    expect(threads).toBeGreaterThan(0);
  });

  it('has the blobs of what is left used again when it grew', async () => {
    const pushes = await Pushes.begin();
    await pushes.pushAsStored();
    await setVm(pushes.session, CI, { diskBytes: 4 * PIECE });
    const { chunks } = await pushes.push(pushes.name('org/vm'));
    expect(chunks).toEqual([...[A, B, C].map(blobOf), expect.anything()]);
    await pushes.expectPulled(pushes.name('org/vm'));
  });

  it('has a clone that uses its blobs, without being taken for what it was', async () => {
    const pushes = await Pushes.begin();
    await pushes.pushAsStored();
    await cloneVm(pushes.session, 'ci', LocalName.parse('copy'));
    rmSync(pushes.directory, { recursive: true });
    const { chunks, threads } = await pushes.push(pushes.name('other/vm'), {}, 'copy');
    expect(chunks).toEqual([A, B, C].map(blobOf));
    expect(threads).toBeGreaterThan(0);
    await pushes.expectPulled(pushes.name('other/vm'), `${pushes.session.home.vmsDirectory}/copy/disk.img`);
  });

  it('gives its blobs to another VM of the same contents', async () => {
    const pushes = await Pushes.begin();
    await pushes.pushAsStored();
    const copy = `${pushes.session.home.vmsDirectory}/copy`;
    plantVm(copy, Buffer.concat([A, B, C]));
    const image = await pushes.push(pushes.name('org/vm'), { populateCache: true });
    expect(image.chunks).toEqual([A, B, C].map(blobOf));
    expect((await pushes.push(pushes.name('org/copy'), {}, 'copy')).chunks).toEqual(image.chunks);
  });

  it('leaves no record to the VM that replaces its own', async () => {
    const pushes = await Pushes.begin();
    await pushes.push(pushes.name('org/vm'));
    plantVm(`${pushes.session.home.vmsDirectory}/copy`, D);
    await cloneVm(pushes.session, 'copy', CI);
    expect(existsSync(`${pushes.directory}/${OurFile.pushedManifest}`)).toBe(false);
  });

  it('gives its contents to a pull of what was pushed: nothing is fetched', async () => {
    const pushes = await Pushes.begin();
    const { chunks } = await pushes.push(pushes.name('org/vm'));
    const fetched: string[] = [];
    pushes.registry.meddle = ({ method, url }) => {
      if (method === 'GET') fetched.push(url ?? '');
      return false;
    };
    await pull(pushes.session, pushes.name('org/vm'));
    expect(fetched.filter((url) => chunks.some((chunk) => url.endsWith(chunk)))).toEqual([]);
    await pushes.expectPulled(pushes.name('org/vm'));
  });

  it('is encoded and sent when the registry has not what it says it has (Q16)', async () => {
    const pushes = await Pushes.begin();
    await pushes.pushAsStored();
    const liar = await startMeddlingRegistry();
    liar.meddle = ({ method, url }, response) => {
      const isLie = method === 'HEAD' && [A, C].some((each) => (url ?? '').endsWith(blobOf(each)));
      if (isLie) response.writeHead(200, { 'content-length': String(storedStream(A).length) }).end();
      return isLie;
    };
    const name = pushes.name('org/vm', 'next', liar);
    const { chunks } = await pushes.push(name);
    for (const content of [A, B, C]) expect(chunks).not.toContain(blobOf(content));
    await pushes.expectPulled(name);
  });

  it('is pushed all the same when nothing can be recorded', async () => {
    const pushes = await Pushes.begin();
    mkdirSync(`${pushes.directory}/${OurFile.pushedManifest}.new`);
    await pushes.push(pushes.name('org/vm'));
    expect(existsSync(`${pushes.directory}/${OurFile.pushedManifest}`)).toBe(false);
    await pushes.expectPulled(pushes.name('org/vm'));
  });
});

describe('nothing is believed that another user could have written', () => {
  const DIRECTORY = '';

  it.each<[string, (directory: string) => void]>([
    ['a record that all may write to', (directory) => chmodSync(`${directory}/${OurFile.pushedManifest}`, 0o646)],
    ['a record in a directory that all may write to', (directory) => chmodSync(directory, 0o777)],
    [
      'a symlink to a record',
      (directory) => {
        renameSync(`${directory}/${OurFile.pushedManifest}`, `${directory}/../record`);
        symlinkSync(`${directory}/../record`, `${directory}/${OurFile.pushedManifest}`);
      },
    ],
    ['a record that is none', (directory) => writeFileSync(`${directory}/${OurFile.pushedManifest}`, '{')],
  ])('%s: the disk is encoded', async (_, happens) => {
    const pushes = await Pushes.begin();
    await pushes.pushAsStored();
    happens(pushes.directory);
    const { chunks } = await pushes.push(pushes.name('org/vm'));
    for (const content of [A, B, C]) expect(chunks).not.toContain(blobOf(content));
    await pushes.expectPulled(pushes.name('org/vm'));
  });

  it.each<[string, boolean, number, number]>([
    ['its user alone may write to', true, 0o644, 0o755],
    ['all may write to', false, 0o646, 0o755],
    ['lies in a directory that all may write to', false, 0o644, 0o777],
  ])('what a manifest beside the disk says of blobs, if it %s: %s', async (_, isBelieved, file, directory) => {
    const pushes = await Pushes.begin();
    await pushes.pushAsStored();
    const manifest = `${pushes.directory}/${OurFile.baseManifest}`;
    renameSync(`${pushes.directory}/${OurFile.pushedManifest}`, manifest);
    chmodSync(manifest, file);
    chmodSync(pushes.directory, directory);
    const { chunks } = await pushes.push(pushes.name('org/vm'));
    expect([A, B, C].map((content) => chunks.includes(blobOf(content)))).toEqual(Array(3).fill(isBelieved));
    await pushes.expectPulled(pushes.name('org/vm'));
  });

  it.each<[string, string, number]>([
    ['that all may write to', OurFile.marker, 0o646],
    ['in a directory that all may write to', DIRECTORY, 0o777],
  ])(
    'an unmodified marker %s, which says that a changed disk is what was pushed: the disk is pushed as it is',
    async (_, file, mode) => {
      const pushes = await Pushes.begin();
      const { chunks } = await pushes.push(pushes.name('org/vm', 'first'));
      pushes.writeSecretly(Buffer.concat([A, D, C]));
      const record = readFileSync(`${pushes.directory}/${OurFile.pushedManifest}`);
      await markUnmodified(pushes.directory, Digest.parse(sha256(record)), 'linux');
      chmodSync(`${pushes.directory}/${file}`, mode);
      const next = await pushes.push(pushes.name('org/vm'));
      expect(next.threads).toBeGreaterThan(0);
      expect(next.chunks).not.toContain(chunks[1]);
      await pushes.expectPulled(pushes.name('org/vm'));
    },
  );
});
