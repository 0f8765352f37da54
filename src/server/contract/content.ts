/**
 * Bytes to be sent to a client: of a file, of memory, or of a blob that is still arriving. Opening one costs no more
 * than telling its size does, because `HEAD` opens it too; what is expensive begins with the first {@link read}.
 */
export interface Content {
  /** Bytes in all; undefined when its source has not told. Then only the whole is sent, and no range of it. */
  readonly size: number | undefined;
  /**
   * Where it is not certain that there will be anything to read: told which bytes will be read, before the head of the
   * answer goes out, so that what is not to be had is refused and not broken off. Resolves when it has begun to arrive.
   * @param end the byte after the last one; undefined for the end of the content.
   * @throws Refusal, or what a {@link read} would throw.
   */
  prepare?(start: number, end: number | undefined): Promise<void>;
  /**
   * Fills the beginning of `buffer` with what stands at `position` (in bytes), and waits for it where it has not
   * arrived yet. Called for one piece after the other, each not before the last has ended: a store that reads ahead no
   * more than this keeps nothing in memory.
   *
   * @returns how many bytes: at least one, and 0 only at the end.
   * @throws when they will never come: the connection is broken then, so that nothing looks whole.
   */
  read(buffer: Buffer, position: number): Promise<number>;
  /**
   * Called once or more, also while a {@link read} waits because the client has gone: that then ends soon, in whatever
   * way.
   */
  close(): Promise<void>;
}
