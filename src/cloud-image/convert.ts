import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { findProgram, SYSTEM_ENVIRONMENT } from '../fs/system-program.ts';
import { cleanText } from '../registry/request/redact.ts';

export interface ConvertOptions {
  /** Of the image, for messages. */
  readonly name: string;
  /** The environment's `PATH`. */
  readonly searchPath: string;
  readonly signal: AbortSignal;
}

/**
 * For util-linux' `prlimit`: bytes of memory, with which every image that is one can be read. A forged table can ask
 * for any number.
 */
const LIMITS = ['--as=4294967296', '--core=0', '--'];
const MAX_WORDS = 2048;

/**
 * Writes the disk that is in a qcow2 image to a new file, zeros as holes, by `qemu-img`: the format, with its two kinds
 * of compression, is QEMU's own, and QEMU is what runs the VM. The program is not let guess at the format, opens no
 * other file than this one whatever the image says, and gets no more memory than it needs. The header must have been
 * looked at before.
 *
 * @throws TartletError `HOST_LACKS`, `MEDIA_UNSUPPORTED`, `DISK_*`
 */
export async function convertQcow2(from: string, to: string, options: ConvertOptions): Promise<void> {
  const program = await findProgram(options.searchPath, 'qemu-img');
  if (program === undefined) {
    throw new TartletError('HOST_LACKS', `${options.name} is in the format qcow2, and qemu-img is not installed`, {
      subject: options.name,
      next: { kind: 'install-qemu-img' },
    });
  }
  const limiter = await findProgram(options.searchPath, 'prlimit');
  // By a descriptor, and not by its path: a name of a file can mean something else to QEMU.
  const image = JSON.stringify({
    driver: 'qcow2',
    backing: null,
    file: { driver: 'file', filename: '/dev/fd/3', 'auto-read-only': true, locking: 'off' },
  });
  const source = await onDisk('read', from, async () => open(from, constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    const argv = [program, 'convert', '-O', 'raw', '-W', `json:${image}`, to];
    const [command, ...rest] = limiter === undefined ? argv : [limiter, ...LIMITS, ...argv];
    const child = spawn(command ?? program, rest, {
      stdio: ['ignore', 'ignore', 'pipe', source.fd],
      env: SYSTEM_ENVIRONMENT,
    });
    await ended(child, options);
  } finally {
    await source.close();
  }
}

async function ended(child: ChildProcess, { name, signal }: ConvertOptions): Promise<void> {
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-MAX_WORDS);
  });
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop);
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    signal.throwIfAborted();
    if (status !== 0) throw failed(name, cleanText(words.trim().split('\n').at(-1) ?? ''));
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function failed(name: string, words: string): TartletError {
  const said = words.replace(/^qemu-img: /, '');
  if (said.includes('No space left on device')) {
    return new TartletError('DISK_FULL', `no room for the disk of ${name}`, {
      kept: 'nothing was made',
      next: { kind: 'make-room', before: 'import' },
    });
  }
  return new TartletError('MEDIA_UNSUPPORTED', `no VM can be made from ${name}: qemu-img cannot read it (${said})`, {
    subject: name,
    kept: 'nothing was made',
    next: { kind: 'fetch-image-anew' },
  });
}
