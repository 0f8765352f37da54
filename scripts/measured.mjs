/** Numbers that only a long run knows, for docs/maintainers/faults.md (see faults-doc.mjs). */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const DIRECTORY = path.resolve(import.meta.dirname, '../test/faults/measured');

/**
 * Keeps what a run counted, in the place of what the last one did.
 * @param {string} name of the file; @param {string} how the run was made, after its date.
 * @param {[what: string, count: number][]} counts
 */
export function keepMeasured(name, title, how, counts) {
  const measured = `${new Date().toISOString().slice(0, 10)}, ${how}`;
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(path.join(DIRECTORY, `${name}.json`), `${JSON.stringify({ title, measured, counts }, null, 2)}\n`);
}
