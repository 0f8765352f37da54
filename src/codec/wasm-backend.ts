import {
  type DecoderWorkspace,
  type EncoderWorkspace,
  INPUT_BYTES,
  type Lz4Backend,
  OUTPUT_BYTES,
  plainBackend,
  SOURCE_BYTES,
  TARGET_BYTES,
} from './lz4-backend.ts';
import { decodeBlock } from './lz4-block-decoder.ts';
import { Lz4BlockTable } from './lz4-block-encoder.ts';
import type { Memory } from './memory.ts';
import { isZero } from './zero.ts';

/** As much of WebAssembly as is used here: neither ES2023 nor Node's types know it. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
  readonly Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

/** What `wasm/index.ts` exports. All numbers are addresses. */
interface Functions {
  freeFrom(): number;
  isZero(from: number, to: number): number;
  decodeBlock(from: number, to: number, base: number, at: number, end: number): number;
  encodeBlock(
    places: number,
    source: number,
    history: number,
    from: number,
    to: number,
    at: number,
    limit: number,
  ): number;
}

/** The functions copy whole vectors, and may touch so many bytes behind what they are given. */
const SLACK_BYTES = 64;
const PAGE_BYTES = 64 * 1024;

/**
 * The backend in WebAssembly (`wasm/`). Memory for it is not always to be had: each one reserves 10 GiB of addresses,
 * which `ulimit -v` may forbid. Then a workspace is one in TypeScript.
 *
 * @param code the compiled module.
 * @returns undefined where WebAssembly, or its vectors, do not exist.
 */
export function wasmBackend(code: Uint8Array): Lz4Backend | undefined {
  let module: object;
  try {
    module = new WebAssembly.Module(code);
  } catch {
    return undefined;
  }
  return {
    kind: 'webassembly',
    decoderWorkspace: () =>
      orPlain(
        () => decoderWorkspace(module),
        () => plainBackend.decoderWorkspace(),
      ),
    encoderWorkspace: () =>
      orPlain(
        () => encoderWorkspace(module),
        () => plainBackend.encoderWorkspace(),
      ),
  };
}

function orPlain<T>(make: () => T, plain: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError) return plain();
    throw error;
  }
}

/** An instance with memory for areas of these sizes. The memory never grows: that would take every view of it away. */
class Instance {
  readonly #buffer: ArrayBuffer;
  readonly functions: Functions;
  #free: number;

  constructor(module: object, sizes: readonly number[]) {
    const bytes = sizes.reduce((sum, size) => sum + aligned(size + SLACK_BYTES), 0);
    // One page for what the module itself keeps there.
    const pages = Math.ceil(bytes / PAGE_BYTES) + 1;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.#buffer = memory.buffer;
    this.functions = new WebAssembly.Instance(module, { env: { memory } }).exports as Functions;
    this.#free = aligned(this.functions.freeFrom());
  }

  area(size: number): Memory {
    const at = this.#free;
    this.#free += aligned(size + SLACK_BYTES);
    return { bytes: new Uint8Array(this.#buffer, at, size), view: new DataView(this.#buffer, at, size) };
  }
}

function aligned(address: number): number {
  return Math.ceil(address / SLACK_BYTES) * SLACK_BYTES;
}

function decoderWorkspace(module: object): DecoderWorkspace {
  const instance = new Instance(module, [INPUT_BYTES, OUTPUT_BYTES]);
  const { functions } = instance;
  const input = instance.area(INPUT_BYTES);
  const output = instance.area(OUTPUT_BYTES);
  const source = input.bytes.byteOffset;
  const target = output.bytes.byteOffset;
  return {
    kind: 'webassembly',
    input,
    output,
    decodeBlock: (from, read, to, into, at, end, origin) => {
      const here = from === input && into === output;
      if (here && functions.decodeBlock(source + read, source + to, target, target + at, target + end) !== 0) return;
      // A block too large for our memory, or one that is broken: the other implementation says where and why.
      decodeBlock(from, read, to, into, at, end, origin);
    },
    isZero: (memory, from, to) =>
      memory === output ? functions.isZero(target + from, target + to) !== 0 : isZero(memory.bytes, from, to),
  };
}

function encoderWorkspace(module: object): EncoderWorkspace {
  const instance = new Instance(module, [Lz4BlockTable.BYTES, SOURCE_BYTES, TARGET_BYTES]);
  const { functions } = instance;
  const places = instance.area(Lz4BlockTable.BYTES).bytes;
  const source = instance.area(SOURCE_BYTES);
  const target = instance.area(TARGET_BYTES);
  const table = new Lz4BlockTable(places);
  const sourceAt = source.bytes.byteOffset;
  const targetAt = target.bytes.byteOffset;
  return {
    kind: 'webassembly',
    source,
    target,
    reset: () => table.reset(),
    encodeBlock: (historyStart, from, to, at, limit) => {
      const [history, first, last] = [sourceAt + historyStart, sourceAt + from, sourceAt + to];
      const end = functions.encodeBlock(
        places.byteOffset,
        sourceAt,
        history,
        first,
        last,
        targetAt + at,
        targetAt + limit,
      );
      return end === 0 ? -1 : end - targetAt;
    },
    isZero: (from, to) => functions.isZero(sourceAt + from, sourceAt + to) !== 0,
  };
}
