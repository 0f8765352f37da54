import { TartletError } from '../../errors.ts';
import type { Forward } from '../../hypervisor/machine.ts';
import type { LazyMode } from '../../lazy-disk/clone-lazily.ts';
import type { WaitCondition } from '../../run/wait-for.ts';

/** The options of `run` that Tart does not have, and that say how long a run lives and who waits for it. */
export interface LifeFlags {
  readonly detach?: true;
  readonly rm?: true;
  /** For an image: a VM is made of it, with `--rm` for this run alone. */
  readonly lazy?: LazyMode;
  /** Of the VM that is made of an image, and stays. */
  readonly name?: string;
  readonly waitFor?: string;
  /** Seconds. */
  readonly timeout?: number;
  /** Bytes per second, for an image that `--rm` or `--lazy` pulls. */
  readonly limitRate?: number;
}

/** How long a guest is waited for where nothing else is said, in seconds: an emulated one takes minutes. */
export const DEFAULT_TIMEOUT = 300;

/** The words of `run` that are ours, and whether a value follows. */
const OURS: Readonly<Record<string, boolean>> = {
  '--detach': false,
  '--rm': false,
  // Its value follows behind `=` alone.
  '--lazy': false,
  '--name': true,
  '--wait-for': true,
  '--timeout': true,
  '--limit-rate': true,
};

/** A command line of `run` without {@link LifeFlags} and what stands behind `--`: what runs the VM is given. */
export function withoutLifeFlags(argv: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < argv.length && argv[at] !== '--'; at += 1) {
    const word = argv[at] ?? '';
    const [name = ''] = word.split('=', 1);
    const hasValue = Object.hasOwn(OURS, name) ? OURS[name] : undefined;
    if (hasValue === undefined) kept.push(word);
    else if (hasValue && word === name) at += 1;
  }
  return kept;
}

/** Options of `tart run` behind which a value stands (tart-cli §1.3). */
const WITH_VALUE = new Set(
  ['serial-path', 'root-disk-opts', 'provisioning-opts', 'disk', 'rosetta', 'dir', 'net-bridged']
    .concat(['net-softnet-allow', 'net-softnet-block', 'net-softnet-expose', 'net-softnet-control-fd'])
    .map((name) => `--${name}`),
);

/** A command line for `tart run` of a VM with another name. */
export function tartWords(argv: readonly string[], name: string): string[] {
  const words = withoutLifeFlags(argv);
  const at = words.findIndex(
    (word, index) => index > 0 && !word.startsWith('-') && !WITH_VALUE.has(words[index - 1] ?? ''),
  );
  return words.map((word, index) => (index === at ? name : word));
}

/**
 * A command line of `run` without {@link LifeFlags}, for the VM that was made of an image: on a Mac it is Tart's. No
 * option of it has its value behind the image.
 */
export function wordsFor(argv: readonly string[], image: string, name: string): string[] {
  return withoutLifeFlags(argv.with(argv.lastIndexOf(image), name));
}

/** @throws TartletError `USAGE` */
export function parseCondition(text: string): WaitCondition {
  if (text === 'ip' || text === 'ssh' || text === 'agent') return { kind: text };
  const [, digits = ''] = /^tcp:([0-9]{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (port > 0 && port <= 65_535) return { kind: 'tcp', port };
  throw new TartletError('USAGE', `"${text}" is nothing to wait for`, {
    next: { kind: 'in-words', words: 'give ip, ssh, agent, or tcp: and a port of the guest, like tcp:80' },
  });
}

/** @throws TartletError `USAGE` when nothing would lead to the port that is waited for. */
export function requireWay(condition: WaitCondition, published: readonly Forward[] | undefined): void {
  if (condition.kind !== 'tcp' || condition.port === 22 || published === undefined) return;
  const { port } = condition;
  if (published.some((each) => each.protocol === 'tcp' && each.guestPort === port)) return;
  throw new TartletError('USAGE', `nothing leads to port ${port} of the guest`, {
    next: { kind: 'in-words', words: `publish it, like --publish ${port < 1024 ? 8000 + port : port}:${port}` },
  });
}
