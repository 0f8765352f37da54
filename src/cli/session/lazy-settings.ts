import { TartletError } from '../../errors.ts';
import type { LazyMode } from '../../lazy-disk/clone-lazily.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** In the order of the help. */
export const LAZY_MODES = ['auto', 'always', 'never'] as const satisfies readonly LazyMode[];

/**
 * Whether a VM begins before its disk is here: as the option says it, else `TARTLET_LAZY`, for drivers that pass no
 * options. Only on Linux, where such a VM can run.
 * @throws TartletError `USAGE`
 */
export function lazyMode(terminal: Terminal, flag: LazyMode | undefined): LazyMode {
  if (flag !== undefined) {
    if (terminal.platform === 'linux' || flag === 'never') return flag;
    throw new TartletError('USAGE', 'only on Linux a VM begins before its disk is here', {
      next: { kind: 'in-words', words: 'leave --lazy out' },
    });
  }
  const text = terminal.environment['TARTLET_LAZY'] ?? '';
  if (text === '' || terminal.platform !== 'linux') return 'never';
  const found = LAZY_MODES.find((mode) => mode === text);
  if (found !== undefined) return found;
  throw new TartletError('USAGE', `TARTLET_LAZY is "${text}"`, {
    next: { kind: 'in-words', words: `set it to ${LAZY_MODES.join(', ')}, or to nothing` },
  });
}

/**
 * A command line in which `--lazy` has its value: commander would take the word behind it for that, which is the name
 * of an image. Only of `clone` and `run`, and not behind `--`; elsewhere it is a word of others.
 */
export function withLazyValue(argv: readonly string[]): readonly string[] {
  if (argv[0] !== 'clone' && argv[0] !== 'run') return argv;
  const end = argv.indexOf('--');
  return argv.map((word, at) => (word === '--lazy' && (end < 0 || at < end) ? '--lazy=auto' : word));
}
