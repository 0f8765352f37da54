import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** What we use of the binding of `ffi-rs`: calls of functions of the C library. */
interface Binding {
  open(library: { readonly library: string; readonly path: string }): void;
  load(call: {
    readonly library: string;
    readonly funcName: string;
    readonly retType: number;
    readonly paramsType: readonly (number | BytesType)[];
    readonly paramsValue: readonly (number | string | Buffer)[];
    readonly errno: true;
    readonly freeResultMemory: false;
  }): { readonly value: number; readonly errnoCode: number };
}

interface BytesType {
  readonly ffiTypeTag: number;
  readonly type: number;
  readonly length: number;
}

/** Numbers of the binding's types; its own JavaScript, which names them, takes 20 ms to load. */
const Type = { string: 0, int: 1, bytes: 10, array: 997 } as const;

/** How we call the C library to the binding. */
const C_LIBRARY = 'c';

/** What a function of the C library returned; `errno` means something where the function failed. */
export interface CallResult {
  readonly value: number;
  readonly errno: number;
}

let loaded: Binding | 'absent' | undefined;

/**
 * Calls a function of the C library that takes and returns `int`, texts and memory (written to in place).
 *
 * @returns undefined where there is no binding for this system (`--omit=optional`), or no such function: the caller has
 * another way.
 */
export function callLibrary(
  name: string,
  ...parameters: readonly (number | string | Buffer)[]
): CallResult | undefined {
  const binding = nativeBinding();
  if (binding === undefined) return undefined;
  try {
    const { value, errnoCode } = binding.load({
      library: C_LIBRARY,
      funcName: name,
      retType: Type.int,
      paramsType: parameters.map(typeOf),
      paramsValue: parameters,
      errno: true,
      freeResultMemory: false,
    });
    return { value, errno: errnoCode };
  } catch {
    return undefined; // The library has no function of that name, e.g. `renameat2` in an old one.
  }
}

function typeOf(parameter: number | string | Buffer): number | BytesType {
  if (typeof parameter === 'number') return Type.int;
  if (typeof parameter === 'string') return Type.string;
  return { ffiTypeTag: Type.array, type: Type.bytes, length: parameter.length };
}

function nativeBinding(): Binding | undefined {
  loaded ??= loadBinding() ?? 'absent';
  return loaded === 'absent' ? undefined : loaded;
}

function loadBinding(): Binding | undefined {
  try {
    const file = bindingFile(import.meta.dirname, process.platform, process.arch);
    if (file === undefined) return undefined;
    const binding = createRequire(import.meta.url)(file) as Binding;
    // The empty path is the program itself, which every program has linked its C library to.
    binding.open({ library: C_LIBRARY, path: process.platform === 'darwin' ? '/usr/lib/libSystem.B.dylib' : '' });
    return binding;
  } catch {
    return undefined; // Built for another system: an installation that was copied.
  }
}

/**
 * The binding that was installed with us. Node's own search would also take what lies in `NODE_PATH` or in
 * `node_modules` of any directory above, where others may be able to write (issue 14, item 16).
 *
 * @param from a directory two levels below our package: `dist/bin`, or that of this file.
 * @internal exported for its test.
 */
export function bindingFile(from: string, platform: string, arch: string): string | undefined {
  const root = path.resolve(from, '../..');
  const above = path.dirname(root);
  const directories = [`${root}/node_modules`, ...(path.basename(above) === 'node_modules' ? [above] : [])];
  // Of the two kinds of Linux, only what fits is installed.
  const kinds = platform === 'linux' ? ['-gnu', '-musl'] : [''];
  return directories
    .flatMap((directory) =>
      kinds.map((kind) => {
        const system = `${platform}-${arch}${kind}`;
        return `${directory}/@yuuang/ffi-rs-${system}/ffi-rs.${system}.node`;
      }),
    )
    .find((file) => existsSync(file));
}
