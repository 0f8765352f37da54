/**
 * L12: what pieces cost. The same disk, made of the files of this machine, is pushed with and without `--pieces`, in
 * turn, each time to an empty registry of ours: bytes of the layers, of the index, processor and wall seconds. Then each
 * layer is decoded by liblz4 (the `lz4` command), block by block as Tart reads it, and each piece alone.
 *
 *     npm run acceptance l12 [MIB] [ROUNDS] [RATE]
 *
 * RATE is what the pushes are limited to, `none` for as fast as this machine can; default: a link of 1 Gbit/s.
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
export async function main([mebibytes = '1024', rounds = '3', rate = '125MB/s']) {
  const work = mkdtempSync(`${tmpdir()}/tartlet-l12-`);
  try {
    const disk = makeVm(`${work}/home/vms/bench`, 'files', Number(mebibytes) * MIB);
    const limit = rate === 'none' ? [] : ['--limit-rate', rate];
    const plain = [];
    const pieces = [];
    for (let round = 1; round <= Number(rounds); round += 1) {
      const both = [
        async () => plain.push(await push(work, undefined, ...limit)),
        async () => pieces.push(await push(work, disk, '--pieces', ...limit)),
      ];
      for (const each of round % 2 === 0 ? both : both.toReversed()) await each();
      console.error(`round ${round} of ${rounds}`);
    }
    return report(plain, pieces, Number(mebibytes), rate);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A push of all of the disk. @param disk compared with what is decoded from the registry, where it is given. */
async function push(work, disk, ...options) {
  forgetPushes(`${work}/home/vms/bench`);
  return withRegistry(work, async (at) => {
    const name = `${at}/bench/vm:1`;
    const cost = timed(work, [...tartlet, 'push', ...options, 'bench', name], { TART_HOME: `${work}/home` });
    const manifest = await (await fetch(`http://${at}/v2/bench/vm/manifests/1`)).json();
    const layers = manifest.layers.slice(1, -1);
    const layerBytes = layers.reduce((sum, { size }) => sum + size, 0);
    const index = manifest.annotations[DIGEST];
    const blob = async (digest) =>
      Buffer.from(await (await fetch(`http://${at}/v2/bench/vm/blobs/${digest}`)).arrayBuffer());
    if (index === undefined) return { ...cost, layerBytes };
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

function report(plain, pieces, mebibytes, rate) {
  // The least of each: what other work on the machine adds is not ours.
  const least = (results, key) => Math.min(...results.map((each) => each[key]));
  const [{ layerBytes }] = plain;
  const [first] = pieces;
  const larger = (first.layerBytes + first.indexBytes) / layerBytes - 1;
  const slower = {
    cpu: least(pieces, 'cpuSeconds') / least(plain, 'cpuSeconds') - 1,
    wall: least(pieces, 'seconds') / least(plain, 'seconds') - 1,
  };
  const perMib = first.indexBytes / mebibytes;
  const percent = (part) => `${(100 * part).toFixed(2)} %`;
  const version = /v[0-9.]+/.exec(spawnSync('lz4', ['--version'], { encoding: 'utf8' }).stdout)?.[0];
  console.log(
    `| L12 | ${mebibytes} MiB of the files of this machine, ${plain.length} pushes each: image larger by ${percent(larger)}; ` +
      `push at ${rate} slower by ${percent(slower.wall)} (processor ${percent(slower.cpu)}); index ${perMib.toFixed(1)} bytes per MiB; ` +
      `by liblz4 ${version}: ${first.whole} layers as a whole, ${first.alone} pieces alone, ${first.wrong} wrong |`,
  );
  return larger <= 0.01 && slower.wall <= 0.05 && perMib <= 50 && first.wrong === 0 ? 0 : 1;
}
