/**
 * Judges a home in a storm (`storm.mjs`) by the descriptions of Tart's and OCI's formats alone: no code of the product
 * is in here, and every file is hashed anew. Each finding names the invariant of reliability §0.1 that it breaks.
 */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';

const VM_FILES = ['config.json', 'nvram.bin', 'disk.img'];
const CONTENT_DIGEST = 'org.cirruslabs.tart.uncompressed-content-digest';
const CONTENT_SIZE = 'org.cirruslabs.tart.uncompressed-size';

/** In hex. */
export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/**
 * What must be true of a quiet home.
 * @param versions the images that exist: digest of the manifest, and bytes of the three files.
 * @param kept what no command of the storm may touch: `vm` (a version), `tag` (path of the link, and its version),
 * `files` with their text.
 * @returns findings, one line each.
 */
export function judgeHome(home, versions, kept) {
  const images = imageDirectories(path.join(home, 'cache/OCIs'));
  const broken = images.flatMap((directory) => judgeImage(directory, versions));
  const tags = linksBelow(path.join(home, 'cache/OCIs')).flatMap((link) => judgeTag(link));
  const vms = namesIn(path.join(home, 'vms'))
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) => judgeVm(path.join(home, 'vms', name), versions).findings);
  const lost = Object.entries(kept.files).filter(([file, text]) => readOrNothing(file)?.toString() !== text);
  const link = path.join(home, kept.tag.link);
  const leadsRight = existsSync(link) && path.basename(realpathSync(link)) === `sha256:${kept.tag.version.digest}`;
  const keptVm = path.join(home, 'vms', kept.vm.name);
  const isKept = VM_FILES.every((file) => readOrNothing(path.join(keptVm, file))?.equals(kept.vm.version.files[file]));
  return [
    ...broken,
    ...tags,
    ...vms,
    ...lost.map(([file]) => `I8, I12: ${file} was changed or lost`),
    ...(leadsRight ? [] : [`I2: the pinned image ${kept.tag.link} was lost`]),
    ...(isKept ? [] : [`I12: the VM ${kept.vm.name} was changed or lost`]),
  ];
}

/**
 * After commands that may clean: what is left of those that were killed. Unfinished downloads are named after digests,
 * and kept for a week.
 */
export function judgeScratch(home) {
  return ['tmp', 'cache/.staging', 'cache/.trash', 'vms/.scratch']
    .flatMap((directory) => namesIn(path.join(home, directory)).map((name) => ({ directory, name })))
    .filter(({ name }) => !name.startsWith('.') && !/^[0-9a-f]{64,128}$/.test(name))
    .map(({ directory, name }) => `I3: left behind: ${directory}/${name}`);
}

/** A VM is whole and has the disk of a version, followed by zeros where it was grown. */
export function judgeVm(directory, versions) {
  const wrong = (what) => ({ findings: [`I1, I6: the VM ${path.basename(directory)} ${what}`], version: undefined });
  const missing = VM_FILES.filter((file) => !existsSync(path.join(directory, file)));
  if (missing.length > 0) return wrong(`has no ${missing.join(', ')}`);
  const { length, head, isSparse } = diskOf(path.join(directory, 'disk.img'), versions[0].files['disk.img'].length);
  const version = versions.find(({ files }) => files['disk.img'].equals(head));
  if (version === undefined) return wrong('has a disk that was never made');
  if (length > head.length && !isSparse) return wrong('was grown by something else than zeros');
  if (!readFileSync(path.join(directory, 'nvram.bin')).equals(version.files['nvram.bin']))
    return wrong('has another NVRAM');
  const config = readJson(path.join(directory, 'config.json'));
  if (config?.os !== 'linux') return wrong('has no configuration that can be read');
  return { findings: [], version, length, config };
}

/**
 * An exported file: a tar of an OCI layout whose blobs are what they are named after, and whose disk is one that ever
 * was.
 */
export function judgeExport(file, versions) {
  const entries = tarEntries(readFileSync(file));
  const index = entries.get('index.json');
  if (index === undefined) return [`I1, I10: ${path.basename(file)} is no OCI layout`];
  const blobs = [...entries].filter(([name]) => name.startsWith('blobs/sha256/') && !name.endsWith('/'));
  const torn = blobs.filter(([name, bytes]) => sha256(bytes) !== path.basename(name));
  const [{ digest }] = JSON.parse(index.toString()).manifests;
  const manifest = entries.get(`blobs/sha256/${digest.slice('sha256:'.length)}`);
  if (manifest === undefined) return [`I1: ${path.basename(file)} has no manifest`];
  const { layers, config } = JSON.parse(manifest.toString());
  const absent = [...layers, config].filter(
    (each) => !entries.has(`blobs/sha256/${each.digest.slice('sha256:'.length)}`),
  );
  const chunks = layers.filter(({ annotations }) => annotations?.[CONTENT_DIGEST] !== undefined);
  const isKnown = versions.some(({ files }) => isDisk(chunks, files['disk.img']));
  return [
    ...torn.map(([name]) => `I6: ${path.basename(file)}: ${name} is something else`),
    ...absent.map((each) => `I1: ${path.basename(file)} lacks ${each.digest}`),
    ...(isKnown ? [] : [`I6: ${path.basename(file)} has a disk that was never made`]),
  ];
}

/** The chunks of a disk: all of a version, and zeros behind it where the disk was grown. */
function isDisk(chunks, bytes) {
  let at = 0;
  for (const { annotations } of chunks) {
    const size = Number(annotations[CONTENT_SIZE]);
    if (!(size > 0)) return false;
    const part = bytes.subarray(at, at + size);
    const content = Buffer.concat([part, Buffer.alloc(size - part.length)]);
    if (annotations[CONTENT_DIGEST] !== `sha256:${sha256(content)}`) return false;
    at += size;
  }
  return at >= bytes.length;
}

function judgeImage(directory, versions) {
  const digest = path.basename(directory).slice('sha256:'.length);
  const version = versions.find((each) => each.digest === digest);
  if (version === undefined) return [`I1: an image that was never pushed is visible: ${directory}`];
  const wrong = VM_FILES.filter((file) => !readOrNothing(path.join(directory, file))?.equals(version.files[file]));
  const manifest = readOrNothing(path.join(directory, 'manifest.json'));
  const isManifest = manifest !== undefined && sha256(manifest) === digest;
  return [...wrong, ...(isManifest ? [] : ['manifest.json'])].map((file) => `I1, I6: ${file} of ${directory} is wrong`);
}

function judgeTag(link) {
  return existsSync(link) ? [] : [`I1, I5: the tag ${link} leads to nothing`];
}

/** Every directory that Tart would take for an image of the cache. */
function imageDirectories(below) {
  return directoriesBelow(below).filter((directory) => VM_FILES.some((file) => existsSync(path.join(directory, file))));
}

function directoriesBelow(below) {
  return entriesOf(below)
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => [path.join(below, name), ...directoriesBelow(path.join(below, name))]);
}

function linksBelow(below) {
  return [below, ...directoriesBelow(below)].flatMap((directory) =>
    entriesOf(directory)
      .filter((entry) => entry.isSymbolicLink())
      .map(({ name }) => path.join(directory, name)),
  );
}

function diskOf(file, headBytes) {
  const { size, blocks } = statSync(file);
  const bytes = size === headBytes ? readFileSync(file) : readHead(file, headBytes);
  return { length: size, head: bytes, isSparse: blocks * 512 <= headBytes + 1024 * 1024 };
}

function readHead(file, length) {
  const bytes = Buffer.alloc(length);
  const handle = openSync(file, 'r');
  try {
    return bytes.subarray(0, readSync(handle, bytes, 0, length, 0));
  } finally {
    closeSync(handle);
  }
}

function readOrNothing(file) {
  return existsSync(file) ? readFileSync(file) : undefined;
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function entriesOf(directory) {
  return existsSync(directory) ? readdirSync(directory, { withFileTypes: true }) : [];
}

function namesIn(directory) {
  return entriesOf(directory).map(({ name }) => name);
}

/** By name; long names as pax headers have them (POSIX.1-2001). */
function tarEntries(bytes) {
  const entries = new Map();
  let longName;
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const header = bytes.subarray(at, at + 512);
    const text = (from, to) => header.toString('utf8', from, to).replace(/\0.*$/s, '');
    const size = parseInt(text(124, 136).trim(), 8);
    const body = bytes.subarray(at + 512, at + 512 + size);
    const type = String.fromCharCode(header[156]);
    if (type === 'x') longName = /^\d+ path=(.*)$/m.exec(body.toString())?.[1];
    else {
      const prefix = text(345, 500);
      entries.set(longName ?? (prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`), body);
      longName = undefined;
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return entries;
}
