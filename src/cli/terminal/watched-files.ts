import { stat } from 'node:fs/promises';

/**
 * Milliseconds between two looks. Watching by the kernel loses files that are replaced, and links whose targets are.
 */
const LOOK_EVERY_MS = 1000;

/** Notices when one of several files became another one, by any way to write it. */
export class WatchedFiles {
  readonly #files: readonly string[];
  /** What they were when they were read. */
  #known: string;
  /** What they were at the last look. */
  #last: string;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  private constructor(files: readonly string[], known: string) {
    this.#files = files;
    this.#known = known;
    this.#last = known;
  }

  /** Remembers what the files are; to be called before they are read. */
  static async look(files: readonly string[]): Promise<WatchedFiles> {
    return new WatchedFiles(files, await stateOf(files));
  }

  /** @param onChange called when a file has changed and is the same at the next look: then its writer is done. */
  start(onChange: () => void): void {
    if (this.#files.length === 0) return;
    this.#timer = setInterval(() => void this.#look(onChange), LOOK_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(onChange: () => void): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const now = await stateOf(this.#files);
    this.#isLooking = false;
    const isSettled = now === this.#last;
    this.#last = now;
    if (!isSettled || now === this.#known) return;
    this.#known = now;
    onChange();
  }
}

/** A text that is another one after a file was written, replaced or removed. Does not throw. */
async function stateOf(files: readonly string[]): Promise<string> {
  const states = files.map(async (file) => {
    const stats = await stat(file, { bigint: true }).catch(() => undefined);
    return stats === undefined ? '-' : `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`;
  });
  return (await Promise.all(states)).join('\n');
}
