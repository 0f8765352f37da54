import { StringDecoder } from 'node:string_decoder';

/** Sequences of a terminal (ECMA-48): colours and movements, titles and other strings, and two characters. */
// oxlint-disable-next-line no-control-regex -- these are what is looked for
const SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|\r(?=\n)/g;

/** So many characters of a sequence that has not ended are waited for. */
const LONGEST_SEQUENCE = 256;

/** Turns bytes for a terminal into text without its sequences. */
export class TerminalText {
  readonly #decoder = new StringDecoder('utf8');
  #started = '';

  next(piece: Uint8Array): string {
    const text = this.#started + this.#decoder.write(Buffer.from(piece));
    // A sequence, or the end of a line, may go on in the next piece.
    const last = Math.max(text.lastIndexOf('\x1b'), text.endsWith('\r') ? text.length - 1 : -1);
    const isOpen = last >= 0 && text.length - last < LONGEST_SEQUENCE && !text.includes('\n', last);
    this.#started = isOpen ? text.slice(last) : '';
    return (isOpen ? text.slice(0, last) : text).replaceAll(SEQUENCE, '');
  }

  rest(): string {
    return this.#started.replaceAll(SEQUENCE, '');
  }
}
