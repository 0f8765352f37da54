import { lz4Backend } from '../../chunks/lz4-backend.ts';
import { type Printable, printableLines } from '../terminal/printable.ts';
import { VERSION } from '../terminal/version.ts';

const KERNELS = { webassembly: 'WebAssembly', typescript: 'TypeScript (slow: WebAssembly is not to be had here)' };

/** The version, and what decides about speed on this machine. */
export function versionInDetail(): Printable {
  return printableLines([
    VERSION,
    `codec: ${KERNELS[lz4Backend().kind]}`,
    `node: ${process.version}, ${process.platform} ${process.arch}`,
  ]);
}
