import { spawn } from 'node:child_process';
import { TartletError } from '../../errors.ts';
import { codeOfWords, nextOfWords } from '../../fs/disk-error.ts';
import { findProgram, SYSTEM_ENVIRONMENT } from '../../fs/system-program.ts';
import { cleanText } from '../../registry/request/redact.ts';

const MAX_WORDS = 1024;

/** @param searchPath the environment's `PATH`. @throws TartletError `HOST_LACKS` */
export async function requireQemuImg(searchPath: string): Promise<string> {
  const program = await findProgram(searchPath, 'qemu-img');
  if (program !== undefined) return program;
  throw new TartletError('HOST_LACKS', 'a VM begins before its disk is here by qemu-img, which is not installed', {
    next: { kind: 'install-qemu-img' },
  });
}

export interface QemuImgOptions {
  /** Of {@link requireQemuImg}. */
  readonly program: string;
  /** In which it works. */
  readonly directory: string;
  /** What it shall do, as in "qemu-img cannot … FILE". */
  readonly verb: string;
  /** The file that this is done to. */
  readonly file: string;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
  /** Descriptors of locks, which last as long as it lives, also when this process is killed before. */
  readonly inherited?: readonly number[];
}

/** Runs `qemu-img` to its end. @throws TartletError `DISK_*`, or the reason of the signal. */
export async function runQemuImg(argv: readonly string[], options: QemuImgOptions): Promise<void> {
  const { program, directory, verb, file, signal, inherited = [] } = options;
  signal?.throwIfAborted();
  const child = spawn(program, argv, {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe', ...inherited],
    env: SYSTEM_ENVIRONMENT,
  });
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-MAX_WORDS);
  });
  const stop = (): void => void child.kill('SIGKILL');
  signal?.addEventListener('abort', stop);
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    signal?.throwIfAborted();
    if (status === 0) return;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  const last = cleanText(words.trim().split('\n').at(-1) ?? '');
  // What it was told to open is the caller's to say.
  const said = last.replace(/^qemu-img: /, '').replace(/ 'json:.*'(?=: )/, '');
  const next = nextOfWords(said);
  throw new TartletError(codeOfWords(said), `qemu-img cannot ${verb} ${file}: ${said}`, {
    subject: file,
    ...(next === undefined ? {} : { next }),
  });
}
