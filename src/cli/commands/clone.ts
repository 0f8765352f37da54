import { TartletError } from '../../errors.ts';
import type { LazyMode } from '../../lazy-disk/clone-lazily.ts';
import { cloneOnDemand } from '../../lazy-disk/clone-on-demand.ts';
import type { LocalName } from '../../names/local-name.ts';
import { lazyMode } from '../session/lazy-settings.ts';
import { newLocalName } from '../session/usage-error.ts';
import type { Session } from '../../session/session.ts';
import type { PeerFlags } from '../session/peer-settings.ts';
import { renderJson } from '../render/json.ts';
import { lazyNote, wholeNote } from '../render/on-demand.ts';
import { dialectOf } from '../terminal/dialect.ts';
import { printable } from '../terminal/printable.ts';
import { cloneResult } from '../render/result.ts';
import { type MirrorOptions, mirrorsBy, type TransferOptions, withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

export interface CloneCommandOptions extends TransferOptions, PeerFlags, MirrorOptions {
  readonly insecure?: true;
  readonly concurrency: number;
  readonly stacked?: true;
  readonly lazy?: LazyMode;
  /** GiB. */
  readonly pruneLimit: number;
  readonly format: 'text' | 'json';
}

const GIB = 1024 ** 3;

export async function runClone(
  terminal: Terminal,
  source: string,
  text: string,
  options: CloneCommandOptions,
): Promise<number> {
  const mode = lazyMode(terminal, options.lazy);
  const work = async (session: Session, say: (line: string) => void): Promise<number> => {
    const name = newLocalName(text);
    if (options.stacked === true) {
      throw new TartletError('NEEDS_MACOS', '--stacked needs the disk images of macOS 27', {
        next: { kind: 'in-words', words: 'clone without --stacked, or use Tart on macOS 27' },
      });
    }
    const newMac = dialectOf(terminal) === 'vetu';
    const outcome = await cloneOnDemand(session, source, name, {
      lazy: mode,
      insecure: options.insecure ?? false,
      concurrency: options.concurrency,
      pruneLimitBytes: options.pruneLimit * GIB,
      newMac,
      onWhole: (why) => say(wholeNote(why)),
    });
    if (outcome.copied === 'lazy') say(lazyNote(outcome.start));
    if (outcome.replaced) say(replacedLine(name));
    if (outcome.copied === 'sparse') say('note: full copy, because this file system has no clones (reflinks)');
    if (options.format === 'json') terminal.stdout.write(renderJson(cloneResult(source, outcome)));
    return 0;
  };
  return withSession(terminal, work, {
    report: options,
    limitRate: options.limitRate,
    peers: options,
    mirrors: mirrorsBy(options),
    stdout: options.format === 'json' ? 'result' : 'progress',
  });
}

/**
 * Said where something new took the place of a VM that did not run: Tart does that without a word (tart-cli §1.1,
 * §1.2).
 */
export function replacedLine(name: LocalName): string {
  return `note: replaced the VM ${printable(name.text)}, which did not run`;
}
