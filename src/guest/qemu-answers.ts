import { isJsonObject } from '../json/foreign.ts';

/*
 * What comes from QEMU's guest agent, cut into answers: one JSON object a line. A guest says what it wants, for as long
 * as it runs: no more is held than the agent itself could say.
 */

/** Ends whatever the agent was in the middle of. */
export const DELIMITER = 0xff;

/** The longest answer, in bytes: 16 MiB of each output in base64, and some more. */
const MAX_ANSWER_BYTES = 48 * 1024 * 1024;

/** So many answers wait at most: nothing that is asked has more. */
const MAX_UNREAD = 1000;

/** An answer of the agent. */
export type QemuAnswer =
  | { readonly kind: 'return'; readonly value: unknown }
  | { readonly kind: 'error'; readonly reason: string };

/** Answers that came and were not read yet, in their order. */
export class QemuAnswers {
  /** The beginning of an answer: a long one comes in hundreds of pieces. */
  #pieces: Buffer[] = [];
  #held = 0;
  readonly #unread: QemuAnswer[] = [];

  /** Takes what came. @returns false when it is more than an agent says. */
  take(piece: Buffer): boolean {
    const cut = piece.lastIndexOf(DELIMITER);
    if (cut >= 0) this.#hold(piece.subarray(cut + 1));
    else {
      this.#pieces.push(piece);
      this.#held += piece.length;
    }
    if (piece.includes('\n')) this.#takeLines();
    return this.#held <= MAX_ANSWER_BYTES && this.#unread.length <= MAX_UNREAD;
  }

  #takeLines(): void {
    let bytes = Buffer.concat(this.#pieces);
    for (let end = bytes.indexOf('\n'); end >= 0; end = bytes.indexOf('\n')) {
      const answer = parse(bytes.toString('utf8', 0, end));
      bytes = bytes.subarray(end + 1);
      if (answer !== undefined) this.#unread.push(answer);
    }
    this.#hold(bytes);
  }

  #hold(bytes: Buffer): void {
    this.#pieces = [bytes];
    this.#held = bytes.length;
  }

  /** The next answer, if it has come. */
  next(): QemuAnswer | undefined {
    return this.#unread.shift();
  }

  /** Forgets what came: another conversation begins. */
  clear(): void {
    this.#hold(Buffer.alloc(0));
    this.#unread.length = 0;
  }
}

/** @returns undefined for the rest of an answer that an earlier conversation asked for. */
function parse(line: string): QemuAnswer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isJsonObject(value)) return undefined;
  const { error } = value;
  return isJsonObject(error)
    ? { kind: 'error', reason: String(error['desc']) }
    : { kind: 'return', value: value['return'] };
}
