import { TartletError } from '../../errors.ts';
import { RemoteName } from '../../names/remote-name.ts';
import type { Orchard } from '../../orchard/orchard.ts';
import type { PrefetchRequest } from '../../prefetch/prefetch.ts';
import type { QuietHours } from '../../prefetch/quiet-hours.ts';
import type { Rhythm } from '../../prefetch/schedule.ts';
import type { PrefetchSource } from '../../prefetch/source.ts';
import type { WantedImage } from '../../prefetch/wanted.ts';
import type { LabelledWorker } from '../../prefetch/watch.ts';
import { archOfMachine } from '../../vm/arch.ts';
import { resolvePath, type Terminal } from '../terminal/terminal.ts';
import { isUrl } from './image-settings.ts';
import type { PeerFlags } from './peer-settings.ts';
import type { MirrorOptions, TransferOptions } from './session.ts';

/** The options of `prefetch`, as they were typed. */
export interface PrefetchFlags extends TransferOptions, PeerFlags, MirrorOptions {
  readonly list?: readonly string[];
  readonly orchard?: string;
  readonly orchardWorker?: string;
  readonly status?: true;
  readonly watch?: true;
  /** Milliseconds. */
  readonly interval?: number;
  readonly jitter?: number;
  readonly quietHours?: readonly QuietHours[];
  /** Bytes. */
  readonly diskBudget?: number;
  readonly concurrency: number;
  readonly insecure?: true;
  readonly format: 'text' | 'json';
}

const HOUR_MS = 3_600_000;
/** As Tart's own prefetching does at most, after a restart of the controller for instance. */
const DEFAULT_RHYTHM: Rhythm = { intervalMs: HOUR_MS, jitterMs: HOUR_MS / 6 };

/** What the options ask for. */
export interface PrefetchSettings {
  readonly request: PrefetchRequest;
  readonly rhythm: Rhythm;
  readonly labels: LabelledWorker | undefined;
}

/** @throws TartletError `USAGE`, `NAME_MALFORMED` */
export function parsePrefetchFlags(
  terminal: Terminal,
  names: readonly string[],
  flags: PrefetchFlags,
): PrefetchSettings {
  refuseContradictions(names, flags);
  const insecure = flags.insecure ?? false;
  const orchard = flags.orchard === undefined ? undefined : orchardOf(terminal, flags.orchard, insecure);
  const lists = (flags.list ?? []).map((text): PrefetchSource => listOf(terminal, text));
  const request: PrefetchRequest = {
    images: names.map((text) => wantedOf(text, insecure)),
    sources: [...lists, ...(orchard === undefined ? [] : [workerSource(terminal, orchard)])],
    insecure,
    quietHours: flags.quietHours ?? [],
    concurrency: flags.concurrency,
    diskBudgetBytes: flags.diskBudget,
  };
  return {
    request,
    rhythm: {
      intervalMs: flags.interval ?? DEFAULT_RHYTHM.intervalMs,
      jitterMs: flags.jitter ?? Math.round((flags.interval ?? DEFAULT_RHYTHM.intervalMs) / 6),
    },
    labels:
      orchard === undefined || flags.orchardWorker === undefined ? undefined : { orchard, worker: flags.orchardWorker },
  };
}

function refuseContradictions(names: readonly string[], flags: PrefetchFlags): void {
  if (names.length === 0 && flags.list === undefined && flags.orchard === undefined)
    throw usage('which images?', 'name them, or give a list: --list FILE or --orchard URL');
  if (flags.watch === undefined && (flags.interval !== undefined || flags.jitter !== undefined))
    throw usage('--interval and --jitter are for --watch', 'add --watch, or let a timer of the system start it');
  if (flags.watch === true && flags.format === 'json')
    throw usage('--watch has no result', 'ask for it with --status --format json');
  if (flags.orchardWorker !== undefined && flags.orchard === undefined)
    throw usage('--orchard-worker is a worker of --orchard', 'add --orchard URL');
}

/** What `--status` would leave undone. @throws TartletError `USAGE` */
export function refuseBesideStatus(names: readonly string[], { watch, list, orchard }: PrefetchFlags): void {
  if (names.length > 0 || watch === true || list !== undefined || orchard !== undefined)
    throw usage('--status brings nothing, and shows all images', 'give it alone, or with --format json');
}

/** A name with a tag or a digest. @throws TartletError `NAME_MALFORMED`, `USAGE` for one with both. */
function wantedOf(text: string, insecure: boolean): WantedImage {
  const name = RemoteName.parse(text);
  if (name.reference.kind !== 'tag-and-digest') return { name, insecure };
  throw usage(`${text} has a tag and a digest`, 'give the tag, which may move, or the digest');
}

function listOf(terminal: Terminal, text: string): PrefetchSource {
  if (!isUrl(text)) return { kind: 'file', path: resolvePath(terminal, text) };
  return { kind: 'url', url: urlOf(text, 'list') };
}

function orchardOf({ environment }: Terminal, text: string, insecure: boolean): Orchard {
  const url = urlOf(text, 'controller');
  const name = environment['ORCHARD_SERVICE_ACCOUNT_NAME'] ?? '';
  const token = environment['ORCHARD_SERVICE_ACCOUNT_TOKEN'] ?? '';
  if ((name === '') !== (token === '')) {
    throw usage(
      'of the service account for Orchard only one half is set',
      'set ORCHARD_SERVICE_ACCOUNT_NAME and ORCHARD_SERVICE_ACCOUNT_TOKEN, or neither',
    );
  }
  return { url, account: name === '' ? undefined : { name, token }, insecure };
}

/** Workers of a Mac run Tart's VMs, those of Linux Vetu's, each of its own processor. */
function workerSource({ platform, machine }: Terminal, orchard: Orchard): PrefetchSource {
  const arch = archOfMachine(machine);
  if (arch === undefined) throw usage(`no VM of Orchard runs on a processor like ${machine}`, 'name the images');
  return { kind: 'orchard', orchard, workers: { runtime: platform === 'darwin' ? 'tart' : 'vetu', arch } };
}

function urlOf(text: string, what: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && isUrl(text) && url.username === '' && url.password === '') return url;
  throw usage(`the address of the ${what} is no URL of the web`, 'write it as https://host/path, without a password');
}

function usage(message: string, words: string): TartletError {
  return new TartletError('USAGE', message, { next: { kind: 'in-words', words } });
}
