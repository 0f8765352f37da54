import { TartletError } from '../../errors.ts';
import type { LazyCloneOptions, LazyMode } from '../../lazy-disk/clone-lazily.ts';
import { LocalName } from '../../names/local-name.ts';
import { RemoteName } from '../../names/remote-name.ts';
import { lazyMode } from '../session/lazy-settings.ts';
import type { Session } from '../../session/session.ts';
import type { PeerFlags } from '../session/peer-settings.ts';
import { cloneVm } from '../../vm/clone.ts';
import { renderJson } from '../render/json.ts';
import { dialectOf } from '../terminal/dialect.ts';
import { printable } from '../terminal/printable.ts';
import { type AnyCloneOutcome, cloneResult } from '../render/result.ts';
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
    const lazy = await lazyClone(session, source, name, { mode, insecure: options.insecure ?? false, newMac }, say);
    const outcome =
      lazy ??
      (await cloneVm(session, source, name, {
        insecure: options.insecure ?? false,
        concurrency: options.concurrency,
        pruneLimitBytes: options.pruneLimit * GIB,
        newMac,
      }));
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

/** @returns undefined where an ordinary clone is to be made. */
async function lazyClone(
  session: Session,
  source: string,
  name: LocalName,
  { mode, ...options }: Omit<LazyCloneOptions, 'mode'> & { readonly mode: LazyMode },
  say: (line: string) => void,
): Promise<AnyCloneOutcome | undefined> {
  if (mode === 'never' || !RemoteName.looksRemote(source)) return undefined;
  // Loaded only here: it is rare.
  const { cloneLazily } = await import('../../lazy-disk/clone-lazily.ts');
  const outcome = await cloneLazily(session, RemoteName.parse(source), name, { mode, ...options });
  if (outcome.kind === 'made') {
    say('note: the disk arrives when the VM runs');
    return { ...outcome, name, copied: 'lazy' };
  }
  if (outcome.why !== 'is-here') say(`note: pulled as a whole, not on demand: ${WHY_NOT_LAZY[outcome.why]}`);
  return undefined;
}

const WHY_NOT_LAZY = {
  'parts-too-large': 'the parts of this image are larger than 32 MiB, and half of it would be fetched before a start',
  'not-for-linux': 'the VM does not run on Linux',
} as const;

/**
 * Said where something new took the place of a VM that did not run: Tart does that without a word (tart-cli §1.1,
 * §1.2).
 */
export function replacedLine(name: LocalName): string {
  return `note: replaced the VM ${printable(name.text)}, which did not run`;
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
