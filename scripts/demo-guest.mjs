/**
 * Assembles the guest of `tartlet demo --lazy` (scripts/demo-guest/guest.s) by the assembler of binutils, and writes it
 * into src/cli/demo/guest-code.ts. `--check` only says whether that is what it should be.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..');
const SOURCE = `${ROOT}/scripts/demo-guest/guest.s`;
const TARGET = `${ROOT}/src/cli/demo/guest-code.ts`;

const directory = mkdtempSync(path.join(os.tmpdir(), 'demo-guest-'));
try {
  execFileSync('as', ['--64', '-o', `${directory}/guest.o`, SOURCE]);
  execFileSync('objcopy', ['-O', 'binary', '-j', '.text', `${directory}/guest.o`, `${directory}/guest.bin`]);
  const text = textOf(readFileSync(`${directory}/guest.bin`));
  if (!process.argv.includes('--check')) writeFileSync(TARGET, text);
  else if (readFileSync(TARGET, 'utf8') !== text) {
    process.stderr.write('src/cli/demo/guest-code.ts is not what scripts/demo-guest/guest.s is assembled to\n');
    process.exitCode = 1;
  }
} finally {
  rmSync(directory, { recursive: true });
}

/** @param {Buffer} code */
function textOf(code) {
  const lines = code.toString('base64').match(/.{1,100}/g) ?? [];
  return `/** The program of the demo's guest, assembled from scripts/demo-guest/guest.s by scripts/demo-guest.mjs; base64. */
export const GUEST_CODE =
${lines.map((line) => `  '${line}'`).join(' +\n')};
`;
}
