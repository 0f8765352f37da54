import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describeError, systemCode, TartletError, unreachable } from '../../errors.ts';
import { removeEmptyDirectory } from '../../fs/entry.ts';
import { removeEntry } from '../../fs/remove.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { SYSTEM_ENVIRONMENT } from '../../fs/system-program.ts';
import type { Step } from './setup-plan.ts';

/** No program that is started here takes a part of it, in milliseconds. */
const ENDS_WITHIN_MS = 60_000;

/** @throws TartletError `DISK_*`, or `HOST_LACKS` for a program that fails. */
export async function applyStep(step: Step): Promise<void> {
  switch (step.kind) {
    case 'write':
      return write(step.file, step.content, step.mode);
    case 'add-line': {
      const lines = await linesOf(step.file);
      if (!lines.includes(step.line)) await writeLines(step.file, [...lines, step.line]);
      return;
    }
    case 'remove-line': {
      const lines = await linesOf(step.file);
      const kept = lines.filter((line) => line !== step.line);
      if (kept.length === 0 && step.withFile) await removeEntry(step.file);
      else if (kept.length < lines.length) await writeLines(step.file, kept);
      return;
    }
    case 'remove-file':
      return removeEntry(step.file);
    case 'remove-directory':
      return removeDirectory(step.directory);
    case 'run':
      return start(step.argv, step.mayFail);
    default:
      unreachable(step);
  }
}

/** The umask of root may be one that keeps others from reading. */
async function write(file: string, content: string, mode: number): Promise<void> {
  await replaceFile(file, {
    temporary: `${file}.${randomUUID()}`,
    write: async (handle) => {
      await handle.writeFile(content);
      await handle.chmod(mode);
    },
  });
}

/** Of a file that is not there: none. */
async function linesOf(file: string): Promise<string[]> {
  try {
    const lines = (await readFile(file, 'utf8')).split('\n');
    return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw new TartletError('DISK_IO', `cannot read ${file}: ${describeError(error)}`, { subject: file, cause: error });
  }
}

async function writeLines(file: string, lines: readonly string[]): Promise<void> {
  await write(file, lines.map((line) => `${line}\n`).join(''), 0o644);
}

/** One in which something is stays, and one that is gone is gone. */
async function removeDirectory(directory: string): Promise<void> {
  try {
    await removeEmptyDirectory(directory);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'EBUSY'].includes(systemCode(error) ?? '')) throw error;
  }
}

async function start([program = '', ...args]: readonly string[], mayFail: boolean): Promise<void> {
  try {
    await promisify(execFile)(program, args, { env: SYSTEM_ENVIRONMENT, timeout: ENDS_WITHIN_MS });
  } catch (cause) {
    if (mayFail) return;
    const words = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : describeError(cause);
    throw new TartletError('HOST_LACKS', `${[program, ...args].join(' ')} failed: ${words}`, {
      subject: program,
      cause,
    });
  }
}
