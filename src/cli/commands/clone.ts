import { TartletError } from '../../errors.ts';
import { LocalName } from '../../names/local-name.ts';
import { cloneVm } from '../../vm/clone.ts';
import { withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export interface CloneCommandOptions {
  readonly insecure?: true;
  readonly concurrency: number;
  readonly stacked?: true;
  /** GiB. */
  readonly pruneLimit: number;
}

const GIB = 1024 ** 3;

export async function runClone(
  terminal: Terminal,
  source: string,
  text: string,
  options: CloneCommandOptions,
): Promise<number> {
  return withSession(terminal, async (session, say) => {
    const name = newLocalName(text);
    if (options.stacked === true) {
      throw new TartletError('NEEDS_MACOS', '--stacked needs the disk images of macOS 27', {
        next: 'clone without --stacked, or use Tart on macOS 27',
      });
    }
    const { copied } = await cloneVm(session, source, name, {
      insecure: options.insecure ?? false,
      concurrency: options.concurrency,
      pruneLimitBytes: options.pruneLimit * GIB,
    });
    if (copied === 'sparse') say('note: full copy, because this file system has no clones (reflinks)');
    return 0;
  });
}

/** A name for something new. Tart treats a bad one as wrong usage, not as a failure (tart-cli §1.2). */
export function newLocalName(text: string): LocalName {
  try {
    return LocalName.parse(text);
  } catch (cause) {
    if (cause instanceof TartletError) throw new TartletError('USAGE', cause.message, { ...cause.facts, cause });
    throw cause;
  }
}
