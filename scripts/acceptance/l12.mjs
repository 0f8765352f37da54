/**
 * L12: what pieces cost. The same disk, made of the files of this machine, is pushed with and without `--pieces`, in
 * turn, each time to an empty registry of ours: bytes of the layers, of the index, processor and wall seconds of the
 * push alone. The first push is not timed: of it each layer is decoded by liblz4 (the `lz4` command), block by block as
 * Tart reads it, and each piece alone; after it the disk is in memory, as it is for all that follow.
 *
 *     npm run acceptance l12 [MIB] [ROUNDS] [RATE]
 *
 * RATE is what the pushes are limited to, `none` for as fast as this machine can; default: a link of 1 Gbit/s. The
 * registry has the same processors: where there is no limit, what it needs counts as well.
 *
 * What pieces cost is mostly the time before the first layer can be sent; later ones are encoded while others are sent.
 * The default disk has six layers, those of real machines have a hundred.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { forgetPushes, makeVm, MIB } from '../bench/disk.mjs';
import { tartlet, timed, withRegistry } from '../bench/process.mjs';

const DIGEST = 'org.tartlet.pieces.digest';
/** Of the LZ4 frame: version 1, dependent blocks of 64 KiB, no checksums; then the header's own checksum. */
const FRAME_HEADER = Buffer.from('04224d184040c0', 'hex');
const FRAME_END = Buffer.alloc(4);
/** Pieces that are decoded alone. */
const ALONE = 40;

/** @returns the exit code. */
export async function main([mebibytes = '3072', rounds = '9', rate = '125MB/s']) {
  const work = mkdtempSync(`${tmpdir()}/tartlet-l12-`);
  try {
    const disk = makeVm(`${work}/home/vms/bench`, 'files', Number(mebibytes) * MIB);
    const limit = rate === 'none' ? [] : ['--limit-rate', rate];
    const decoded = await push(work, disk, '--pieces');
    const pairs = [];
    for (let round = 1; round <= Number(rounds); round += 1) {
      const pair = {};
      const both = [
        async () => (pair.plain = await push(work, undefined, ...limit)),
        async () => (pair.pieces = await push(work, undefined, '--pieces', ...limit)),
      ];
      for (const each of round % 2 === 0 ? both : both.toReversed()) await each();
      pairs.push(pair);
      console.error(`round ${round} of ${rounds}: ${told(pair.plain)}; with pieces ${told(pair.pieces)}`);
    }
    return report(decoded, pairs, Number(mebibytes), rate);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function told({ seconds, cpuSeconds }) {
  return `${seconds.toFixed(2)} s, processor ${cpuSeconds.toFixed(2)} s`;
}

/** A push of all of the disk. @param disk compared with what is decoded from the registry, where it is given. */
async function push(work, disk, ...options) {
  forgetPushes(`${work}/home/vms/bench`);
  // What the push before this one left to be written is not to be written during this one.
  spawnSync('sync');
  return withRegistry(work, async (at) => {
    const name = `${at}/bench/vm:1`;
    const cost = timed(work, [...tartlet, 'push', ...options, 'bench', name], { TART_HOME: `${work}/home` });
    const manifest = await (await fetch(`http://${at}/v2/bench/vm/manifests/1`)).json();
    const layers = manifest.layers.slice(1, -1);
    const layerBytes = layers.reduce((sum, { size }) => sum + size, 0);
    const index = manifest.annotations[DIGEST];
    if (disk === undefined) return { ...cost, layerBytes };
    // To decode a blob takes longer than a registry keeps a connection that nothing is asked for.
    const alone = { headers: { connection: 'close' } };
    const blob = async (digest) =>
      Buffer.from(await (await fetch(`http://${at}/v2/bench/vm/blobs/${digest}`, alone)).arrayBuffer());
    const indexBytes = await blob(index);
    const decoded = await decodeAll(disk, layers, indexBytes, blob);
    return { ...cost, layerBytes, indexBytes: indexBytes.length, ...decoded };
  });
}

/** Every layer as a whole, and some pieces of it alone, by a program of others. */
async function decodeAll(disk, layers, index, blob) {
  const count = index.readUInt32LE(20);
  let entry = 24 + 48 * count;
  const contentSizes = new Map();
  for (let each = 0; each < count; each += 1) {
    const at = 24 + 48 * each;
    contentSizes.set(`sha256:${index.toString('hex', at, at + 32)}`, {
      size: Number(index.readBigUInt64LE(at + 40)),
      each,
    });
  }
  const starts = [];
  for (const { size } of contentSizes.values()) {
    starts.push(entry);
    entry += 36 * Math.ceil(size / MIB);
  }
  let [whole, alone, wrong, offset] = [0, 0, 0, 0];
  for (const { digest } of layers) {
    const bytes = await blob(digest);
    const { size, each } = contentSizes.get(digest);
    const expected = read(disk, offset, size);
    if (unframed(bytes).equals(expected)) whole += 1;
    else wrong += 1;
    const every = Math.max(1, Math.floor(size / MIB / Math.ceil(ALONE / layers.length)));
    let from = 0;
    for (let piece = 0; piece * MIB < size; piece += 1) {
      const at = starts[each] + 36 * piece;
      const to = from + index.readUInt32LE(at);
      if (piece % every === 0) {
        const content = unframed(Buffer.concat([bytes.subarray(from, to), Buffer.from('bv4$')]));
        const isRight =
          content.equals(expected.subarray(piece * MIB, piece * MIB + MIB)) &&
          createHash('sha256')
            .update(content)
            .digest()
            .equals(index.subarray(at + 4, at + 36));
        if (isRight) alone += 1;
        else wrong += 1;
      }
      from = to;
    }
    offset += size;
  }
  return { whole, alone, wrong };
}

/** The blocks of an Apple stream in a frame of LZ4, decoded by the `lz4` command. */
function unframed(stream) {
  const parts = [FRAME_HEADER];
  for (let at = 0; stream.toString('latin1', at, at + 4) !== 'bv4$'; ) {
    const isStored = stream.toString('latin1', at, at + 4) === 'bv4-';
    const [header, length] = isStored ? [8, stream.readUInt32LE(at + 4)] : [12, stream.readUInt32LE(at + 8)];
    const word = Buffer.alloc(4);
    word.writeUInt32LE(isStored ? length + 2 ** 31 : length);
    parts.push(word, stream.subarray(at + header, at + header + length));
    at += header + length;
  }
  const input = Buffer.concat([...parts, FRAME_END]);
  return execFileSync('lz4', ['-d', '-c'], { input, maxBuffer: 1024 * MIB, stdio: ['pipe', 'pipe', 'ignore'] });
}

function read(disk, offset, size) {
  const bytes = Buffer.alloc(size);
  const fd = openSync(disk, 'r');
  try {
    for (let done = 0; done < size; ) done += readSync(fd, bytes, done, size - done, offset + done);
  } finally {
    closeSync(fd);
  }
  return bytes;
}

function report(decoded, pairs, mebibytes, rate) {
  const [{ plain }] = pairs;
  const larger = (decoded.layerBytes + decoded.indexBytes) / plain.layerBytes - 1;
  // Each pair by itself, and the middle one of them: what else the machine does comes and goes.
  const slower = (key) => quartiles(pairs.map(({ plain: without, pieces }) => pieces[key] / without[key] - 1));
  const seconds = (kind, key) => quartiles(pairs.map((pair) => pair[kind][key])).median.toFixed(2);
  const cost = (key) => {
    const { low, median, high } = slower(key);
    return `${percent(median)} (half of the pairs ${percent(low)} to ${percent(high)}; ${seconds('plain', key)} and ${seconds('pieces', key)} s)`;
  };
  const perMib = decoded.indexBytes / mebibytes;
  const version = /v[0-9.]+/.exec(spawnSync('lz4', ['--version'], { encoding: 'utf8' }).stdout)?.[0];
  const perSecond = Math.round(plain.layerBytes / 1e6 / seconds('plain', 'seconds'));
  console.log(
    `| L12 | ${mebibytes} MiB of the files of this machine, ${pairs.length} pairs of pushes: image larger by ${percent(larger)}; ` +
      `push at ${rate} slower by ${cost('seconds')}, processor ${cost('cpuSeconds')}; ` +
      `plain ${Math.round(plain.layerBytes / 1e6)} MB, ${perSecond} MB/s from start to end; ` +
      `index ${perMib.toFixed(1)} bytes per MiB; ` +
      `by liblz4 ${version}: ${decoded.whole} layers as a whole, ${decoded.alone} pieces alone, ${decoded.wrong} wrong |`,
  );
  const isGood = larger <= 0.01 && slower('seconds').median <= 0.05 && perMib <= 50 && decoded.wrong === 0;
  return isGood ? 0 : 1;
}

function percent(part) {
  return `${(100 * part).toFixed(2)} %`;
}

function quartiles(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part) => sorted[Math.round((sorted.length - 1) * part)];
  return { low: at(0.25), median: at(0.5), high: at(0.75) };
}
