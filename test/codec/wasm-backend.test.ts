import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fc, it } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { decodeBlock } from '../../src/codec/lz4-block-decoder.ts';
import { encodeBlock, Lz4BlockTable } from '../../src/codec/lz4-block-encoder.ts';
import { allocate } from '../../src/codec/memory.ts';
import { wasmBackend } from '../../src/codec/wasm-backend.ts';
import { isZero } from '../../src/codec/zero.ts';
import { diskData, noise, prose } from './disk-data.ts';

/*
 * The functions of the module by themselves, in memory full of canaries, beside those in TypeScript. That streams come
 * out the same is proved by all other tests of this directory (see apple-stream.ts).
 */

declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
  readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer };
};

const CANARY = 0xaa;
/** How far behind their ends the functions may read and write. */
const SLACK = 31;
const BASE = 64 * 1024;

const code = readFileSync('dist/lz4.wasm');
const memory = new WebAssembly.Memory({ initial: 16 });
const functions = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } }).exports as Record<
  'isZero' | 'decodeBlock' | 'encodeBlock' | 'freeFrom',
  (...numbers: number[]) => number
>;
const all = Buffer.from(memory.buffer);
const canaries = Buffer.alloc(all.length, CANARY);

/** Fills memory with canaries, but for what the module keeps for itself, and puts bytes where they belong. */
function arrange(contents: readonly (readonly [at: number, bytes: Uint8Array])[]): void {
  all.fill(CANARY, functions.freeFrom());
  for (const [at, bytes] of contents) all.set(bytes, at);
}

/** Whether nothing but canaries stands in `[from, to)`. */
function untouched(from: number, to: number): boolean {
  return all.subarray(from, to).equals(canaries.subarray(from, to));
}

/** Decodes with both; fails when they disagree, or when the module wrote where it must not. */
function expectAgreement(payload: Uint8Array, history: Uint8Array, size: number): void {
  const inputAt = BASE;
  const outputAt = BASE * 4 + 5;
  arrange([
    [inputAt, payload],
    [outputAt, history],
  ]);
  const at = outputAt + history.length;
  const accepted = functions.decodeBlock(inputAt, inputAt + payload.length, outputAt, at, at + size) !== 0;

  const input = allocate(payload.length);
  input.bytes.set(payload);
  const output = allocate(history.length + size);
  output.bytes.set(history);
  let valid = true;
  try {
    decodeBlock(input, 0, payload.length, output, history.length, history.length + size, 0);
  } catch {
    valid = false;
  }
  expect(accepted).toBe(valid);
  if (valid) expect(all.subarray(at, at + size).equals(output.bytes.subarray(history.length))).toBe(true);
  expect(all.subarray(outputAt, at).equals(history)).toBe(true);
  expect(untouched(inputAt + payload.length, outputAt)).toBe(true);
  expect(untouched(at + size + SLACK, all.length)).toBe(true);
}

/** A block as the encoder makes it, after some history. */
function blockOf(raw: Uint8Array, history: Uint8Array): Buffer {
  const source = allocate(history.length + raw.length);
  source.bytes.set(history);
  source.bytes.set(raw, history.length);
  const target = allocate(2 * raw.length + 64);
  const from = history.length;
  const end = encodeBlock(new Lz4BlockTable(), source, 0, from, source.bytes.length, target, 0, target.bytes.length);
  return Buffer.from(target.bytes.subarray(0, end));
}

const seed = fc.nat(100_000);
const raw = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 3000 }), seed).map(([length, start]) => prose(length, start)),
  fc.tuple(fc.integer({ min: 1, max: 65_536 }), seed).map(([length, start]) => diskData(length, start)),
  fc.tuple(fc.integer({ min: 1, max: 300 }), seed).map(([length, start]) => noise(length, start)),
  fc
    .array(fc.tuple(fc.nat(700), fc.uint8Array({ minLength: 1, maxLength: 20 })), { minLength: 1, maxLength: 20 })
    .map((runs) => Buffer.concat([Buffer.of(1), ...runs.map(([length, fill]) => Buffer.alloc(length, fill))])),
);
const history = fc.oneof(
  fc.constant(Buffer.alloc(0)),
  fc.tuple(fc.constantFrom(1, 15, 16, 17, 2000, 65_536), seed).map(([length, start]) => prose(length, start)),
);
const changes = fc.array(fc.tuple(fc.nat(), fc.oneof(fc.nat(255), fc.constantFrom(0, 15, 16, 240, 255))), {
  maxLength: 4,
});

describe('decoding a block', () => {
  it.prop([raw, history, changes], { numRuns: 1000 })(
    'accepts, refuses and writes what the other one does, whatever was changed in it, and nothing beyond its place',
    (bytes, before, edits) => {
      const payload = blockOf(bytes, before);
      for (const [where, value] of edits) payload[where % payload.length] = value;
      expectAgreement(payload, before, bytes.length);
    },
  );

  it.prop([fc.uint8Array({ maxLength: 300 }), history, fc.integer({ min: 1, max: 5000 })], { numRuns: 1000 })(
    'does so for payloads that are made up, too',
    (payload, before, size) => expectAgreement(payload, before, size),
  );

  it.prop([raw, fc.constantFrom(-1, 1, 7, 40)], { numRuns: 300 })(
    'refuses one that declares another size than it has',
    (bytes, difference) => expectAgreement(blockOf(bytes, Buffer.alloc(0)), Buffer.alloc(0), bytes.length + difference),
  );
});

describe('encoding a block', () => {
  it.prop([raw, history, fc.nat(40)], { numRuns: 500 })(
    'gives the same bytes as the other one, fits or not in the same room, and writes nothing beyond it',
    (bytes, before, missing) => {
      const roomy = blockOf(bytes, before);
      const room = Math.max(1, roomy.length + 20 - missing);
      const tableAt = BASE;
      const sourceAt = BASE * 2;
      const targetAt = BASE * 6 + 3;
      const from = sourceAt + before.length;
      arrange([
        [tableAt, new Uint8Array(Lz4BlockTable.BYTES)],
        [sourceAt, before],
        [from, bytes],
      ]);
      const end = functions.encodeBlock(
        tableAt,
        sourceAt,
        sourceAt,
        from,
        from + bytes.length,
        targetAt,
        targetAt + room,
      );

      const source = allocate(before.length + bytes.length);
      source.bytes.set(before);
      source.bytes.set(bytes, before.length);
      const target = allocate(room);
      const to = source.bytes.length;
      const expected = encodeBlock(new Lz4BlockTable(), source, 0, before.length, to, target, 0, room);
      expect(end === 0 ? -1 : end - targetAt).toBe(expected);
      if (end > 0) expect(all.subarray(targetAt, end).equals(target.bytes.subarray(0, expected))).toBe(true);
      expect(untouched(from + bytes.length, targetAt)).toBe(true);
      expect(untouched(targetAt + room + SLACK, all.length)).toBe(true);
    },
  );
});

it.prop([fc.nat(300), fc.nat(40), fc.option(fc.nat(299))])(
  'zeros are found as the other one finds them',
  (size, from, other) => {
    const bytes = new Uint8Array(size);
    if (other !== null && other < size) bytes[other] = 1;
    arrange([[BASE + from, bytes]]);
    expect(functions.isZero(BASE + from, BASE + from + size) !== 0).toBe(isZero(bytes));
  },
);

it('what is no module is no backend, and nothing breaks', () => {
  expect(wasmBackend(Buffer.from('not wasm'))).toBeUndefined();
});

/** Each memory of a module reserves 10 GiB of addresses. */
it('where addresses are too few for a module, the workspaces are in TypeScript', () => {
  const script = `
    import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
    import { wasmBackend } from './dist/codec/wasm-backend.js';
    const backend = wasmBackend(readFileSync('dist/lz4.wasm'));
    console.log(backend.kind, backend.decoderWorkspace().kind, backend.encoderWorkspace().kind);`;
  const run = 'ulimit -v 4000000; exec "$0" --input-type=module -e "$1"';
  const output = execFileSync('bash', ['-c', run, process.execPath, script], { encoding: 'utf8' });
  expect(output).toBe('webassembly typescript typescript\n');
});
