import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Lz4Backend, plainBackend } from '../codec/lz4-backend.ts';
import { wasmBackend } from '../codec/wasm-backend.ts';

let loaded: Lz4Backend | undefined;

/** The fastest backend that this machine can have. */
export function lz4Backend(): Lz4Backend {
  loaded ??= load() ?? plainBackend;
  return loaded;
}

/** Undefined without the compiled module, or where it does not run: then everything works as well, and slowly. */
function load(): Lz4Backend | undefined {
  try {
    return wasmBackend(readFileSync(backendFile()));
  } catch {
    return undefined;
  }
}

/** The built module. From the sources, i.e. in tests, it is the one in `dist`. */
function backendFile(): string {
  const built = fileURLToPath(new URL('../lz4.wasm', import.meta.url));
  return existsSync(built) ? built : fileURLToPath(new URL('../../dist/lz4.wasm', import.meta.url));
}

/**
 * Lends workspaces to running jobs; idle ones wait for the next chunk of this thread, so that their memory is
 * found once.
 */
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
export const withDecoder = lender(() => lz4Backend().decoderWorkspace());

/** Lends a workspace to encode one chunk in. */
export const withEncoder = lender(() => lz4Backend().encoderWorkspace());
