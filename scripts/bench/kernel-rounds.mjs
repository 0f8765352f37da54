/** Decodes and encodes the same disk with both codecs in turn; prints the median processor seconds of each. */
import { readFileSync, rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { compressSync, uncompressSync } from 'lz4-napi';
import { AppleLz4Decoder } from '../../dist/codec/apple-lz4-decoder.js';
import { AppleLz4Encoder } from '../../dist/codec/apple-lz4-encoder.js';
import { lz4Backend } from '../../dist/chunks/lz4-backend.js';
import { blocksOf, withSize } from './apple-stream.mjs';
import { median } from './compare.mjs';
import { makeVm, MIB } from './disk.mjs';

const BLOCK = 64 * 1024;
const PIECE = 256 * 1024;
const directory = mkdtempSync(path.join(tmpdir(), 'tartlet-bench-'));
const disk = readFileSync(makeVm(directory, 'files', 64 * MIB));
rmSync(directory, { recursive: true });

const backend = lz4Backend();
const encoder = backend.encoderWorkspace();
const decoder = backend.decoderWorkspace();

function encode(sink) {
  const stream = new AppleLz4Encoder(sink, encoder);
  for (let at = 0; at < disk.length; at += PIECE) stream.push(disk.subarray(at, at + PIECE));
  stream.finish();
}

const parts = [];
encode((bytes) => parts.push(Buffer.from(bytes)));
const stream = Buffer.concat(parts);
const blocks = [...blocksOf(stream)].map((block) => (block.payload === undefined ? block : withSize(block)));
const dictionary = (at) => (at === 0 ? undefined : disk.subarray(at - BLOCK, at));
const sizes = { tartlet: stream.length, 'lz4-napi': 4 };
for (let at = 0; at < disk.length; at += BLOCK) {
  // With Apple's header instead of the library's size, and stored when that is smaller.
  const size = compressSync(disk.subarray(at, at + BLOCK), dictionary(at)).length - 4;
  sizes['lz4-napi'] += size < BLOCK ? size + 12 : BLOCK + 8;
}

const contestants = {
  'decode tartlet': () => {
    const chunk = new AppleLz4Decoder({ expectedBytes: disk.length, onOutput: () => {}, workspace: decoder });
    for (let at = 0; at < stream.length; at += PIECE) chunk.push(stream.subarray(at, at + PIECE));
    chunk.finish();
  },
  'decode lz4-napi': () => {
    let before;
    for (const block of blocks) before = block.stored ?? uncompressSync(block, before);
  },
  'encode tartlet': () => encode(() => {}),
  'encode lz4-napi': () => {
    for (let at = 0; at < disk.length; at += BLOCK) compressSync(disk.subarray(at, at + BLOCK), dictionary(at));
  },
};
const seconds = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
// More rounds than elsewhere: they are short.
const rounds = 3 * Number(process.argv[2]);
for (let round = 0; round <= rounds; round += 1) {
  for (const [name, work] of Object.entries(contestants)) {
    const started = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(started);
    if (round > 0) seconds[name].push((user + system) / 1e6);
    await setImmediate();
  }
}
const medians = Object.fromEntries(Object.entries(seconds).map(([name, all]) => [name, median(all)]));
console.log(
  JSON.stringify({ backend: backend.kind, megabytes: Math.round(disk.length / 1e6), sizes, rounds: medians }),
);
