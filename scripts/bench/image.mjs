/** The VMs that are moved around. Made of what every machine with Node has, the same each time. */
import { createHash } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { makeSampleVm, SAMPLE_CONFIG } from '../sample-vm.mjs';

export const MIB = 1024 * 1024;
/** Disks are made of pieces of one kind each. */
const PIECE = 64 * 1024;

/**
 * Gives the piece of a number, or undefined for zeros.
 * `system`: a quarter zeros, the rest the code, tables and texts of the `node` program, as an installed system has them, no piece like another.
 * `random`: what no encoder makes smaller. `sparse`: one piece of sixteen as in `system`, the rest zeros.
 */
const KINDS = {
  system: () => {
    const program = readFileSync(process.execPath);
    return (number) => (number % 4 === 0 ? undefined : cutOut(program, number));
  },
  random: () => {
    const noise = noiseOf(16 * MIB);
    return (number) => cutOut(noise, number);
  },
  sparse: () => {
    const program = readFileSync(process.execPath);
    return (number) => (number % 16 === 0 ? cutOut(program, number) : undefined);
  },
};

/** Whatever of `source` comes next, at an odd place each time, and marked so that nothing occurs twice. */
function cutOut(source, number) {
  const at = (number * 5 * PIECE + number * 11) % (source.length - PIECE);
  const piece = Buffer.from(source.subarray(at, at + PIECE));
  for (let mark = 0; mark < PIECE; mark += 16_384) piece.writeUInt32LE((number * 2_654_435_761) % 2 ** 32, mark);
  return piece;
}

function noiseOf(size) {
  const noise = Buffer.alloc(size);
  for (let at = 0; at < size; at += 64) createHash('sha512').update(String(at)).digest().copy(noise, at);
  return noise;
}

/** Makes a stopped VM in `folder`. Returns its disk. */
export function makeVm(folder, kind, diskBytes) {
  const disk = makeSampleVm(folder);
  writePieces(disk, KINDS[kind](), diskBytes, true);
  return disk;
}

/** The bytes of a disk that are not zero, without the holes: what a copy has to write at least. */
export function makeDense(file, kind, diskBytes) {
  writePieces(file, KINDS[kind](), diskBytes, false);
}

function writePieces(file, pieceOf, bytes, inPlace) {
  const fd = openSync(file, 'w');
  let next = 0;
  for (let number = 0; number * PIECE < bytes; number += 1) {
    const piece = pieceOf(number);
    if (piece === undefined) continue;
    writeSync(fd, piece, 0, PIECE, inPlace ? number * PIECE : next);
    next += PIECE;
  }
  if (inPlace) ftruncateSync(fd, bytes);
  closeSync(fd);
}

/** Bytes of disk of each of {@link makeManyImages}: holes. */
const SMALL_DISK = MIB;

/** Many pulled images, each as a pull leaves it, in a repository of its own and with one tag: what `list` and `doctor` have to look at. */
export function makeManyImages(home, count) {
  const config = Buffer.from(SAMPLE_CONFIG);
  const nvram = Buffer.alloc(4096);
  for (let index = 0; index < count; index += 1) {
    const manifest = manifestOf(index, config, nvram);
    const digest = sha256(manifest);
    const [registry, name] = ['registry.example:8221', `org/image${index}`];
    const repository = `${home}/cache/OCIs/registry.example%3A8221/${name}`;
    const folder = `${repository}/${digest}`;
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/config.json`, config);
    writeFileSync(`${folder}/nvram.bin`, nvram);
    writeFileSync(`${folder}/disk.img`, '');
    truncateSync(`${folder}/disk.img`, SMALL_DISK);
    writeFileSync(`${folder}/manifest.json`, manifest);
    const origin = { registry, repository: name, digest, mediaType: MANIFEST, size: manifest.length };
    const record = { version: 1, via: 'pull', ...origin, pulledAt: new Date(0).toISOString() };
    writeFileSync(`${folder}/.origin.json`, JSON.stringify(record));
    writeFileSync(`${folder}/.last-used`, '');
    symlinkSync(folder, `${repository}/latest`);
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
