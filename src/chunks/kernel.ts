import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Kernel, plainKernel } from '../codec/kernel.ts';
import { wasmKernel } from '../codec/wasm-kernel.ts';

let loaded: Kernel | undefined;

/** The fastest kernel that this machine can have. */
export function codecKernel(): Kernel {
  loaded ??= load() ?? plainKernel;
  return loaded;
}

/** Undefined without the compiled module, or where it does not run: then everything works as well, and slowly. */
function load(): Kernel | undefined {
  try {
    return wasmKernel(readFileSync(kernelFile()));
  } catch {
    return undefined;
  }
}

/** The built module. From the sources, i.e. in tests, it is the one in `dist`. */
function kernelFile(): string {
  const built = fileURLToPath(new URL('../kernel.wasm', import.meta.url));
  return existsSync(built) ? built : fileURLToPath(new URL('../../dist/kernel.wasm', import.meta.url));
}

/** Lends workspaces to those who are at work; idle ones wait for the next chunk of this thread, so that their memory is found once. */
function lender<W>(make: () => W): <T>(work: (workspace: W) => Promise<T>) => Promise<T> {
  const idle: W[] = [];
  return async (work) => {
    const workspace = idle.pop() ?? make();
    try {
      return await work(workspace);
    } finally {
      idle.push(workspace);
    }
  };
}

/** Lends a workspace to decode one chunk in. */
export const withDecoder = lender(() => codecKernel().decoderWorkspace());

/** Lends a workspace to encode one chunk in. */
export const withEncoder = lender(() => codecKernel().encoderWorkspace());
