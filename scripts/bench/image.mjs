/** A cache of many images, for commands that look at each of them. */
import { createHash } from 'node:crypto';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { SAMPLE_CONFIG } from '../sample-vm.mjs';
import { MIB } from './disk.mjs';

/** Bytes of disk of each of {@link makeManyImages}: holes. */
const SMALL_DISK = MIB;

/**
 * Many pulled images, each as a pull leaves it, in a repository of its own and with one tag: what `list` and `doctor`
 * have to look at.
 */
export function makeManyImages(home, count) {
  const config = Buffer.from(SAMPLE_CONFIG);
  const nvram = Buffer.alloc(4096);
  for (let index = 0; index < count; index += 1) {
    const manifest = manifestOf(index, config, nvram);
    const digest = sha256(manifest);
    const [registry, name] = ['registry.example:8221', `org/image${index}`];
    const repository = `${home}/cache/OCIs/registry.example%3A8221/${name}`;
    const directory = `${repository}/${digest}`;
    mkdirSync(directory, { recursive: true });
    writeFileSync(`${directory}/config.json`, config);
    writeFileSync(`${directory}/nvram.bin`, nvram);
    writeFileSync(`${directory}/disk.img`, '');
    truncateSync(`${directory}/disk.img`, SMALL_DISK);
    writeFileSync(`${directory}/manifest.json`, manifest);
    const origin = { registry, repository: name, digest, mediaType: MANIFEST, size: manifest.length };
    const record = { version: 1, via: 'pull', ...origin, pulledAt: new Date(0).toISOString() };
    writeFileSync(`${directory}/.origin.json`, JSON.stringify(record));
    writeFileSync(`${directory}/.last-used`, '');
    symlinkSync(directory, `${repository}/latest`);
  }
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

function manifestOf(index, config, nvram) {
  const layer = (kind, blob, annotations) => ({
    mediaType: `application/vnd.cirruslabs.tart.${kind}`,
    digest: sha256(blob),
    size: blob.length,
    ...(annotations === undefined ? {} : { annotations }),
  });
  const disk = {
    'org.cirruslabs.tart.uncompressed-size': String(SMALL_DISK),
    'org.cirruslabs.tart.uncompressed-content-digest': sha256(Buffer.alloc(SMALL_DISK)),
  };
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256('{}'), size: 2 },
      layers: [
        layer('config.v1', config),
        layer('disk.v2', Buffer.alloc(8192, `image ${index}`), disk),
        layer('nvram.v1', nvram),
      ],
      annotations: { 'org.cirruslabs.tart.uncompressed-disk-size': String(SMALL_DISK) },
    }),
  );
}

function sha256(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
