/** The disks that are moved around, the same each time on one machine. */
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, readdirSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { makeSampleVm } from '../sample-vm.mjs';

export const MIB = 1024 * 1024;
/** Disks are written, and looked through for zeros, in pieces of this size. */
const PIECE = 64 * 1024;
/** File systems begin each file in a block of its own. */
const BLOCK = 4096;
/** Where an installed system has its programs, libraries and texts. */
const FILES = '/usr';
/** One large file would make a disk of its own kind of bytes. */
const LARGEST_FILE = 64 * MIB;

/**
 * Each gives the pieces of a disk, one after another; undefined is a piece of zeros. `files`: the files of this machine
 * below `/usr`, in an order that mixes them, each at a block of its own. Where they are too few for the disk, its end
 * is zeros. `random`: what no encoder makes smaller. `sparse`: one piece of sixteen as in `files`, the rest zeros.
 */
const KINDS = {
  files: piecesOfFiles,
  *random() {
    const noise = noiseOf(16 * MIB);
    for (let number = 0; ; number += 1) {
      const at = (number * 5 * PIECE + number * 11) % (noise.length - PIECE);
      const piece = Buffer.from(noise.subarray(at, at + PIECE));
      // Marked, so that no piece occurs twice.
      for (let mark = 0; mark < PIECE; mark += 16_384) piece.writeUInt32LE((number * 2_654_435_761) % 2 ** 32, mark);
      yield piece;
    }
  },
  *sparse() {
    for (const piece of piecesOfFiles()) {
      yield piece;
      for (let zeros = 1; zeros < 16; zeros += 1) yield undefined;
    }
  },
};

function* piecesOfFiles() {
  let piece = Buffer.alloc(PIECE);
  let filled = 0;
  for (const { file, bytes } of filesInMixedOrder()) {
    const fd = openSync(file, 'r');
    try {
      for (let at = 0; at < bytes; ) {
        const got = readSync(fd, piece, filled, Math.min(PIECE - filled, bytes - at), at);
        if (got === 0) break;
        at += got;
        filled += got;
        if (filled < PIECE) continue;
        yield piece;
        piece = Buffer.alloc(PIECE);
        filled = 0;
      }
    } finally {
      closeSync(fd);
    }
    filled = Math.ceil(filled / BLOCK) * BLOCK;
    if (filled < PIECE) continue;
    yield piece;
    piece = Buffer.alloc(PIECE);
    filled = 0;
  }
  if (filled > 0) yield piece;
  for (;;) yield undefined;
}

/** By the hash of their paths: the first 64 MiB are then of the same kinds as the first 2 GiB. */
function filesInMixedOrder() {
  return readdirSync(FILES, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => ({ file, bytes: sizeOf(file), order: createHash('sha256').update(file).digest('hex') }))
    .filter(({ bytes }) => bytes > 0 && bytes <= LARGEST_FILE)
    .toSorted((a, b) => (a.order < b.order ? -1 : 1));
}

function sizeOf(file) {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function noiseOf(size) {
  const noise = Buffer.alloc(size);
  for (let at = 0; at < size; at += 64) createHash('sha512').update(String(at)).digest().copy(noise, at);
  return noise;
}

/** Makes a stopped VM in `directory`. Returns its disk. */
export function makeVm(directory, kind, diskBytes) {
  const disk = makeSampleVm(directory);
  const fd = openSync(disk, 'w');
  const pieces = KINDS[kind]();
  for (let at = 0; at < diskBytes; at += PIECE) {
    const piece = pieces.next().value;
    if (piece !== undefined) writeSync(fd, piece, 0, Math.min(PIECE, diskBytes - at), at);
  }
  ftruncateSync(fd, diskBytes);
  closeSync(fd);
  return disk;
}

/** Makes a VM what it was before its first push: what is remembered of pushes lies beside its disk. */
export function forgetPushes(directory) {
  for (const name of readdirSync(directory)) {
    if (name.startsWith('.pushed-') || name === '.disk-seal.json') rmSync(`${directory}/${name}`);
  }
}

/** Writes the pieces of a disk that are not zero one after another: what a copy of it has to write at least. */
export function makeDense(disk, file) {
  const bytes = readPieces(disk);
  const fd = openSync(file, 'w');
  for (const piece of bytes) if (!isZero(piece)) writeSync(fd, piece);
  closeSync(fd);
}

/** Which part of a disk is whole pieces of zeros, from 0 to 1. */
export function zeroShare(disk) {
  let [all, zero] = [0, 0];
  for (const piece of readPieces(disk)) {
    all += 1;
    if (isZero(piece)) zero += 1;
  }
  return zero / all;
}

function* readPieces(disk) {
  const fd = openSync(disk, 'r');
  const piece = Buffer.alloc(PIECE);
  for (let got = readSync(fd, piece); got > 0; got = readSync(fd, piece)) yield piece.subarray(0, got);
  closeSync(fd);
}

const ZEROS = Buffer.alloc(PIECE);

function isZero(piece) {
  return ZEROS.subarray(0, piece.length).equals(piece);
}
