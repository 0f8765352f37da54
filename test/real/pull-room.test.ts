import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { configJson } from '../support/home.ts';
import { WITH_AN_OLD_IMAGE } from '../support/old-image.ts';
import { needsOwnMounts, runWithOwnMounts } from '../support/own-mounts.ts';
import { piecedImage } from '../support/pieced-image.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { type RealRegistry, startRealRegistry } from '../support/real-registry.ts';
import { diskChunksOf, pushInChunks } from '../support/real-seed.ts';
import { createVm } from '../support/real-vm.ts';
import { send, startStaticRegistry } from '../support/static-registry.ts';
import {
  configLayer,
  diskLayer,
  nvramLayer,
  sha256,
  type TinyImage,
  tinyImage,
  tinyManifest,
} from '../support/tart-image.ts';

/** Mounts a disk with an old image on it, and so much for others beside that and the reserve. */
function withFree(mebibytes: number): string {
  return WITH_AN_OLD_IMAGE.replace('190m', `${178 + mebibytes}m`);
}

describe('a disk that has room for a pull only without an old image', () => {
  const cleanup = new Cleanup();
  let registry: RealRegistry;
  let name: string;
  /** What an image of that name has to become. */
  let disk: string;

  beforeAll(async () => {
    registry = await startRealRegistry(cleanup, 'embedded');
    name = `127.0.0.1:${registry.port}/team/base:1`;
    const sender = new Workplace(cleanup);
    await createVm(sender, 'vm');
    disk = `${sender.vmDirectory('vm')}/disk.img`;
    // Text: on the wire it is small.
    writeFileSync(disk, Array.from({ length: 1_100_000 }, (_, line) => `tartlet needs room ${line}\n`).join(''));
    await pushInChunks(sender, 'vm', name, 1024 * 1024);
  });
  afterAll(async () => cleanup.run());

  /** An image of one layer that claims to decode to 40 MB. @param blob what the registry has of it. */
  function claimingImage(blob: Uint8Array | undefined): TinyImage {
    const bytes = blob ?? Buffer.alloc(200_000);
    const [config, nvram] = [Buffer.from(configJson()), Buffer.from('nvram')];
    const layer = layerOf(bytes, 40_000_000);
    const layers = [
      configLayer({ digest: sha256(config), size: config.length }),
      layer,
      nvramLayer({ digest: sha256(nvram), size: nvram.length }),
    ];
    const annotations = { 'org.cirruslabs.tart.uncompressed-disk-size': '40000000' };
    const manifest = tinyManifest({ layers, annotations });
    const blobs = [config, nvram, ...(blob === undefined ? [] : [blob])].map((each) => [sha256(each), each] as const);
    return { manifest, digest: sha256(manifest), blobs: new Map(blobs), config, nvram, disk: Buffer.alloc(0) };
  }

  const layerOf = (bytes: Uint8Array, claimed: number) =>
    diskLayer(
      { digest: sha256(bytes), size: bytes.length },
      { 'org.cirruslabs.tart.uncompressed-size': String(claimed) },
    );

  it('for a part that is not fetched any more, because another has failed: it stays (P27)', async (context) => {
    needsOwnMounts(context);
    const [bad, good] = [Buffer.concat([Buffer.from('bv4$'), Buffer.alloc(60_000)]), Buffer.alloc(200_000, 1)];
    const one = claimingImage(good);
    const layers = [...(JSON.parse(Buffer.from(one.manifest).toString()) as { layers: object[] }).layers];
    layers.splice(1, 1, layerOf(bad, 4_000_000), layerOf(good, 40_000_000));
    const annotations = { 'org.cirruslabs.tart.uncompressed-disk-size': '44000000' };
    const manifest = tinyManifest({ layers, annotations });
    const blobs = new Map([...one.blobs, [sha256(bad), bad] as const]);
    const liar = await startStaticRegistry({ '1': { ...one, manifest, digest: sha256(manifest), blobs } });
    const { stdout, stderr } = await runWithOwnMounts(
      new Workplace(cleanup),
      `${withFree(18)} $TARTLET pull ${liar.address}/made/up:1; echo "exit $?"; $TARTLET list -q | grep -c :14`,
    );
    expect(stdout, stderr).toContain('exit 1\n1\n');
    expect(stderr).toMatch(/^error\[CHUNK_CORRUPT\]/m);
    expect(stderr).not.toContain('deleted');
  });

  it('for an image that the registry does not have: it stays (P27)', async (context) => {
    needsOwnMounts(context);
    const liar = await startStaticRegistry({ '1': claimingImage(undefined) });
    const { stdout, stderr } = await runWithOwnMounts(
      new Workplace(cleanup),
      `${WITH_AN_OLD_IMAGE} $TARTLET pull --dry-run ${liar.address}/made/up:1
$TARTLET pull ${liar.address}/made/up:1; echo "exit $?"; $TARTLET list -q | grep -c :14`,
    );
    expect(stdout, stderr).toMatch(
      /^would delete registry\.corp:8221\/macos\/base@sha256:a{64} if need be \(52\.4 MB\)$/m,
    );
    expect(stdout).toMatch(/exit 1\n1\n$/);
    expect(stderr).toMatch(
      /^error\[NOT_FOUND\]: .*\/made\/up:1 names a blob of 200000 bytes that the registry does not have/m,
    );
    expect(stderr).not.toContain('deleted');
  });

  it.for([
    ['has as much free as the image is large on the wire', 12, [1]],
    ['has less free than that', 2, [1, 2]],
    ['has nothing free', -1, [2]],
  ] as const)(
    'and %s: all is checked, the image goes, the new one is whole, and blobs that found no place come twice (P27)',
    async ([, free, times], context) => {
      needsOwnMounts(context);
      registry.requests.length = 0;
      const { stdout, stderr } = await runWithOwnMounts(
        new Workplace(cleanup),
        `${withFree(free)} $TARTLET pull ${name}; echo "exit $?"; $TARTLET list -q | head -1
cmp ${disk} $TART_HOME/cache/OCIs/127*/team/base/sha256:*/disk.img; ls -A $TART_HOME/cache/OCIs/127*/team/base/sha256:* $TART_HOME/cache/.staging`,
      );
      expect(stdout, stderr).toMatch(new RegExp(`^exit 0\\n${name}\\n`));
      expect(stdout).not.toContain('.blobs');
      expect(stderr).toMatch(/^deleted registry\.corp:8221\/macos\/base@sha256:a{64}: .*, room was needed$/m);
      expect(stderr).toMatch(/^\S+\/team\/base:1: room is needed: [\d.]+ [KM]B are checked before any image goes$/m);
      const chunks = await diskChunksOf(registry.port, 'team/base', '1');
      const asked = chunks.map(
        (chunk) => registry.requests.filter((line) => line.startsWith('GET') && line.endsWith(chunk)).length,
      );
      expect([...new Set(asked)].toSorted((a, b) => a - b)).toEqual(times);
    },
  );

  it.for([12, -1])(
    'and %i MiB free, of an image that a guest began by pieces: all is checked, the image goes, the new one is whole (P27)',
    async (free, context) => {
      needsOwnMounts(context);
      const chunks = Array.from({ length: 5 }, (_, at) => Buffer.alloc(6 * 1024 * 1024, `tartlet needs room ${at}\n`));
      const image = await piecedImage(chunks);
      const served = await startStaticRegistry({ '1': image });
      const staging = `$TART_HOME/cache/.staging/${image.digest.replace('sha256:', '')}`;
      const { stdout, stderr } = await runWithOwnMounts(
        new Workplace(cleanup),
        `${withFree(free)} mkdir -p ${staging}; truncate -s ${image.disk.length} ${staging}/disk.img
printf '\n0#2\n3#1\n' > ${staging}/.verified
$TARTLET pull ${served.address}/team/pieced:1; echo "exit $?"
sha256sum < $TART_HOME/cache/OCIs/127*/team/pieced/sha256:*/disk.img`,
      );
      expect(stdout, stderr).toContain(`exit 0\n${sha256(image.disk).replace('sha256:', '')}`);
      expect(stderr).toMatch(/^deleted registry\.corp:8221\/macos\/base@sha256:a{64}: .*, room was needed$/m);
      expect(served.requests.some((line) => line.includes('bytes='))).toBe(true);
    },
  );

  /** An image of 16 MiB that does not compress, in parts of 1 MiB. */
  function largeImage(): TinyImage {
    const chunks = Array.from({ length: 16 }, (_, index) => {
      const content = Buffer.alloc(1024 * 1024);
      for (let at = 0; at < content.length; at += 4)
        content.writeUInt32LE((Math.imul(at, 2654435761) ^ index) >>> 0, at);
      return content;
    });
    return tinyImage({ chunks, config: Buffer.from(configJson()) });
  }

  type Layers = { layers: { digest: string; size: number; annotations: Record<string, string> }[] };

  /** The layers of an image: config, parts, NVRAM. */
  const layersOf = ({ manifest }: TinyImage): Layers['layers'] =>
    (JSON.parse(Buffer.from(manifest).toString()) as Layers).layers;

  it.for([12, -1])(
    'for an image of which only the last part decodes to something else, with %i MiB free: it stays (P27)',
    async (free, context) => {
      needsOwnMounts(context);
      const honest = largeImage();
      const layers = layersOf(honest);
      const last = layers.at(-2);
      if (last === undefined) throw new Error('it has layers');
      last.annotations['org.cirruslabs.tart.uncompressed-content-digest'] = sha256(Buffer.from('something else'));
      const annotations = { 'org.cirruslabs.tart.uncompressed-disk-size': String(16 * 1024 * 1024) };
      const manifest = tinyManifest({ layers, annotations });
      const liar = await startStaticRegistry({ '1': { ...honest, manifest, digest: sha256(manifest) } });
      const { stdout, stderr } = await runWithOwnMounts(
        new Workplace(cleanup),
        `${withFree(free)} $TARTLET pull ${liar.address}/made/up:1; echo "exit $?"; $TARTLET list -q | grep -c :14`,
      );
      expect(stdout, stderr).toBe('exit 1\n1\n');
      expect(stderr).toMatch(/^error\[CHUNK_CORRUPT\]: .* it decodes to other bytes than promised/m);
      expect(stderr).not.toContain('deleted');
    },
  );

  it.for([
    ['the last part', -2],
    ['the config', 0],
    ['the NVRAM', -1],
  ] as const)(
    'for an image of which the registry sends other bytes for %s: it stays (P27)',
    async ([, layer], context) => {
      needsOwnMounts(context);
      const honest = largeImage();
      const { digest, size } = layersOf(honest).at(layer) ?? { digest: '', size: 0 };
      const last = layersOf(honest).at(-2)?.digest ?? '';
      let onLast: () => void = () => undefined;
      const lastAsked = new Promise<void>((resolve) => {
        onLast = resolve;
      });
      const liar = await startStaticRegistry({ '1': honest });
      liar.intercept = (request, response) => {
        if (request.method !== 'GET') return false;
        if (request.url?.endsWith(last) === true) onLast();
        if (request.url?.endsWith(digest) !== true) return false;
        // As late as it can be: after the last part is asked for, unless that waits for this one.
        const timer = setTimeout(onLast, 2000);
        void lastAsked.then(() => {
          clearTimeout(timer);
          return response.writeHead(200, { 'content-length': size }).end(Buffer.alloc(size, 'other'));
        });
        return true;
      };
      const { stdout, stderr } = await runWithOwnMounts(
        new Workplace(cleanup),
        `${withFree(12)} $TARTLET pull ${liar.address}/made/up:1; echo "exit $?"; $TARTLET list -q | grep -c :14`,
      );
      expect(stdout, stderr).toBe('exit 1\n1\n');
      expect(stderr).toMatch(/^error\[DIGEST_MISMATCH\]/m);
      expect(stderr).not.toContain('deleted');
    },
  );

  it('for an image that is copied from a VM, but for a part that was changed there and that the registry sends wrong: it stays (P27)', async (context) => {
    needsOwnMounts(context);
    const image = largeImage();
    const last = layersOf(image).at(-2)?.digest ?? '';
    const liar = await startStaticRegistry({ '1': image });
    let times = 0;
    liar.intercept = (request, response) => {
      if (request.method !== 'GET' || request.url?.endsWith(last) !== true) return false;
      times += 1;
      if (times === 1) return false;
      const bytes = image.blobs.get(last) ?? Buffer.alloc(0);
      send(request, response, Buffer.alloc(bytes.length), 'application/octet-stream');
      return true;
    };
    const copied = `${liar.address}/made/up:1`;
    const { stdout, stderr } = await runWithOwnMounts(
      new Workplace(cleanup),
      `${withFree(16 + 5)}
export TART_NO_AUTO_PRUNE=
$TARTLET pull ${copied} && $TARTLET clone ${copied} vm && $TARTLET delete ${copied} || exit
printf changed | dd of=$TART_HOME/vms/vm/disk.img bs=1M seek=15 conv=notrunc status=none
unset TART_NO_AUTO_PRUNE
$TARTLET pull ${copied}; echo "exit $?"; $TARTLET list -q | grep -c :14`,
    );
    expect(stdout, stderr).toMatch(/exit 1\n1\n$/);
    expect(stderr).toMatch(/^error\[DIGEST_MISMATCH\]/m);
    // Only what the VM turned out not to have.
    expect(stderr).toMatch(/: room is needed: 1\.0 MB are checked before any image goes$/m);
    expect(stderr).not.toMatch(/deleted registry/);
  });

  it('for an image that the registry sends right once, and wrong the second time: the error names what was deleted (P27)', async (context) => {
    needsOwnMounts(context);
    const image = largeImage();
    const liar = await startStaticRegistry({ '1': image });
    const parts = new Set(
      layersOf(image)
        .slice(1, -1)
        .map(({ digest }) => digest),
    );
    const sent = new Set<string>();
    liar.intercept = (request, response) => {
      const digest = request.url?.split('/').at(-1) ?? '';
      if (request.method !== 'GET' || !parts.has(digest)) return false;
      const bytes = image.blobs.get(digest) ?? Buffer.alloc(0);
      send(request, response, sent.has(digest) ? Buffer.alloc(bytes.length) : bytes, 'application/octet-stream');
      sent.add(digest);
      return true;
    };
    const { stdout, stderr } = await runWithOwnMounts(
      new Workplace(cleanup),
      `${withFree(-1)} $TARTLET pull ${liar.address}/made/up:1; echo "exit $?"; ls -A $TART_HOME/cache/.staging/*`,
    );
    expect(stdout, stderr).toMatch(/^exit 1\n/);
    expect(stdout).not.toContain('.blobs');
    expect(stderr).toMatch(/^error\[DIGEST_MISMATCH\]/m);
    expect(stderr).toMatch(/^deleted: registry\.corp:8221\/macos\/base@sha256:a{64}$/m);
  });
});
