import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** What must be undone when a test or a test file is over: last in, first out, and all of it whatever fails. */
export class Cleanup {
  readonly #works: (() => Promise<void> | void)[] = [];

  add(work: () => Promise<void> | void): void {
    this.#works.push(work);
  }

  /** A directory that lives until {@link run}. */
  directory(): string {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'tartlet-real-'));
    this.add(() => rmSync(directory, { recursive: true, force: true }));
    return directory;
  }

  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let work = this.#works.pop(); work !== undefined; work = this.#works.pop()) {
      try {
        await work();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `could not clean up: ${failures.join('; ')}`);
  }
}
