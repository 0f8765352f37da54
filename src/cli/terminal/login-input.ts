import { addAbortSignal, Writable } from 'node:stream';
import { TartletError } from '../../errors.ts';
import { ownText, printable, printed } from './printable.ts';
import { questionStream, type Terminal } from './terminal.ts';

/** Tart's limit for what is typed (tart-cli §1.7), in characters. */
const MAX_TYPED = 8192;
/** Longer than any token or key file that registries take for a password, in bytes. */
const MAX_READ = 64 * 1024;

/** What the user entered. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

/**
 * The password from stdin: all of it but the line breaks at its end (tart-cli §1.7).
 * @throws TartletError `USAGE` when it is longer than 64 KiB or no UTF-8 text; the reason of the terminal's signal.
 */
export async function readPassword({ stdin, signal }: Terminal): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of addAbortSignal(signal, stdin) as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > MAX_READ) throw unusable(`stdin has more than ${MAX_READ / 1024} KiB, which is no password`);
    pieces.push(piece);
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(pieces));
    return text.replace(/[\r\n]+$/, '');
  } catch {
    throw unusable('the password on stdin is not UTF-8 text'); // No cause: nothing of it may be shown.
  }
}

/**
 * Asks for user and password on the terminal, the password without echo. Whatever ends it, the terminal is as before.
 * @throws TartletError `USAGE` when the input ends too early or is too long, `INTERRUPTED` after Ctrl-C; the reason of
 * the terminal's signal.
 */
export async function askForLogin(terminal: Terminal, registry: string): Promise<Login> {
  const { createInterface } = await import('node:readline');
  const { stdin, signal } = terminal;
  const questions = questionStream(terminal, false);
  signal.throwIfAborted();
  let secret = false;
  const screen = new Writable({
    decodeStrings: false,
    // What readline shows: the question, and what is typed, as it is typed.
    write: (chunk: string, _encoding, done) => {
      if (!secret) questions.write(ownText(chunk));
      done();
    },
  });
  // One for both questions: what was typed or pasted ahead would be lost between two.
  const lines = createInterface({ input: stdin, output: screen, terminal: true, historySize: 0 });
  const answers: string[] = [];
  try {
    return await new Promise<Login>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      lines.on('SIGINT', () => reject(interrupted()));
      lines.on('close', () => reject(unusable('the input ended before there was a user and a password')));
      lines.on('line', (line) => {
        if (line.length > MAX_TYPED) reject(unusable(`more than ${MAX_TYPED} characters were entered`));
        answers.push(line);
        const [username, password] = answers;
        if (username === undefined) return;
        if (password !== undefined) resolve({ username, password });
        // At once, and not in a later turn: the password may be in the same paste.
        else if (!secret) {
          questions.write(printed`Password of ${printable(username)} for ${printable(registry)}: `);
        }
        secret = true;
      });
      lines.setPrompt(`User name for ${registry}: `);
      lines.prompt();
    });
  } finally {
    lines.close();
    if (secret || answers.length === 0) questions.write(printed`\n`);
  }
}

function unusable(why: string): TartletError {
  return new TartletError('USAGE', why, {
    next: { kind: 'in-words', words: 'enter the user name and the password again' },
  });
}

/** In raw mode Ctrl-C is a character and no signal. */
function interrupted(): TartletError {
  return new TartletError('INTERRUPTED', 'interrupted by Ctrl-C', { kept: 'nothing was stored', status: 130 });
}
