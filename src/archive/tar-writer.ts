import type { ArchiveSink } from './archive-sink.ts';
import { TAR_BLOCK_BYTES, tarHeader, tarPadding } from './tar-header.ts';

/** Writes a tar file from its first byte to its last, whatever is written to. */
export class TarWriter {
  readonly #sink: ArchiveSink;

  constructor(sink: ArchiveSink) {
    this.#sink = sink;
  }

  async directory(name: string): Promise<void> {
    await this.#sink.write(tarHeader('directory', `${name}/`, 0));
  }

  /** @param content exactly `size` bytes. */
  async file(name: string, size: number, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    await this.#sink.write(tarHeader('file', name, size));
    for await (const piece of content) await this.#sink.write(piece);
    const padding = tarPadding(size);
    if (padding.length > 0) await this.#sink.write(padding);
  }

  /** Two blocks of zeros. */
  async end(): Promise<void> {
    await this.#sink.write(Buffer.alloc(2 * TAR_BLOCK_BYTES));
  }
}
