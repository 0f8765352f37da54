import { isTartletError, TartletError } from '../errors.ts';
import { RemoteName } from '../names/remote-name.ts';
import { type Clock, systemClock } from '../registry/request/clock.ts';
import type { Session } from '../session/session.ts';
import { allowedFrom, type QuietHours, quietFrom } from './quiet-hours.ts';
import { noteEntry, NEW_ENTRY, type PrefetchRecord, readPrefetchRecord, whileRecordIsHeld } from './record.ts';
import { type ImageOutcome, noteFailure, refreshImage, type RefreshOptions } from './refresh.ts';
import { keepWanted, releaseUnneeded } from './release.ts';
import { type PrefetchSource, readSource, sourceName } from './source.ts';
import type { BrokenEntry, ImageList, WantedImage } from './wanted.ts';

/** How images are kept ready, and which besides those that are named one by one. */
export interface PrefetchOptions extends RefreshOptions {
  /** Lists. What one of them names no more is not wanted by it any more. */
  readonly sources?: readonly PrefetchSource[];
  /** Speak plain HTTP to the registries of all lists. Default: only where a list says so. */
  readonly insecure?: boolean;
  /** Hours in which nothing is fetched; what is under way when they begin stops, and goes on afterwards. */
  readonly quietHours?: readonly QuietHours[];
}

/** What is to be kept ready, and how. */
export interface PrefetchRequest extends PrefetchOptions {
  /** Images that are named one by one. They stay wanted until they are forgotten. */
  readonly images?: readonly WantedImage[];
}

/** What was done for all images. */
export interface PrefetchReport {
  readonly images: readonly ImageOutcome[];
  /** Lists that could not be read: what they named before stays wanted. */
  readonly failedSources: readonly { readonly source: string; readonly error: TartletError }[];
  /** Entries of lists that are no names of images. */
  readonly broken: readonly (BrokenEntry & { readonly source: string })[];
}

const ARGUMENTS = 'arguments';

/** What the lists said, and what is wanted by that. */
export interface ReadLists extends Pick<PrefetchReport, 'failedSources' | 'broken'> {
  readonly wanted: readonly WantedImage[];
}

/**
 * Brings every wanted image, one after the other; one that fails stops none of the others.
 *
 * @throws TartletError `STORE_DAMAGED` for a record that cannot be read, `DISK_*`; or the reason of the signal. All
 * else is in the report.
 */
export async function prefetch(session: Session, request: PrefetchRequest): Promise<PrefetchReport> {
  const lists = await readLists(session, request);
  const images: ImageOutcome[] = [];
  for (const wanted of lists.wanted) images.push(await refreshOne(session, wanted, request, systemClock));
  return { images, failedSources: lists.failedSources, broken: lists.broken };
}

/** Reads all lists, remembers what they want, keeps what is here of it and lets go of the rest. */
export async function readLists(session: Session, request: PrefetchRequest): Promise<ReadLists> {
  const { images = [], sources = [], quietHours = [] } = request;
  // Before anything is remembered as wanted.
  if (allowedFrom(session.now(), quietHours) === undefined) throw noMinuteLeft();
  const said = new Map<string, ImageList>([[ARGUMENTS, { wanted: images, broken: [] }]]);
  const failedSources: { source: string; error: TartletError }[] = [];
  for (const source of sources) {
    const name = sourceName(source);
    try {
      const list = forAll(await readSource(session, source), request.insecure ?? false);
      // What is behind a `?` may be secret and is in no name: of two lists that differ by it, both are meant.
      said.set(name, joined(said.get(name), list));
    } catch (error) {
      session.signal.throwIfAborted();
      if (!isTartletError(error)) throw error;
      failedSources.push({ source: name, error });
    }
  }
  for (const { source } of failedSources) said.delete(source);
  const record = await whileRecordIsHeld(session, async (now, write) => {
    const next = withSaid(now, said);
    await write(next);
    await keepWanted(session, next);
    await releaseUnneeded(session, next);
    return next;
  });
  const asked = new Set([ARGUMENTS, ...sources.map(sourceName)]);
  const broken = [...said].flatMap(([source, list]) => list.broken.map((entry) => ({ source, ...entry })));
  return { wanted: wantedBy(record, asked, images), failedSources, broken };
}

function forAll(list: ImageList, insecure: boolean): ImageList {
  return insecure ? { ...list, wanted: list.wanted.map((each) => ({ ...each, insecure })) } : list;
}

function joined(one: ImageList | undefined, other: ImageList): ImageList {
  if (one === undefined) return other;
  return { wanted: [...one.wanted, ...other.wanted], broken: [...one.broken, ...other.broken] };
}

/** The record with what each list says in the place of what it said before. */
function withSaid(now: PrefetchRecord, said: ReadonlyMap<string, ImageList>): PrefetchRecord {
  const images = new Map(Object.entries(now.images));
  for (const [source, { wanted }] of said) {
    const names = new Set(wanted.map(({ name }) => name.toString()));
    for (const [key, entry] of images) {
      const sources = entry.sources.filter((each) => each !== source || source === ARGUMENTS || names.has(key));
      images.set(key, { ...entry, sources });
    }
    for (const { name, insecure } of wanted) {
      const entry = images.get(name.toString()) ?? NEW_ENTRY;
      const sources = [...new Set([...entry.sources, source])];
      images.set(name.toString(), { ...entry, sources, insecure });
    }
  }
  const wanted = [...images].filter(([, { sources }]) => sources.length > 0);
  return { ...now, images: Object.fromEntries(wanted) };
}

/** Those of the lists that were asked for; of the images that were ever named one by one, those that were now. */
function wantedBy(record: PrefetchRecord, asked: ReadonlySet<string>, named: readonly WantedImage[]): WantedImage[] {
  const now = new Set(named.map(({ name }) => name.toString()));
  return Object.entries(record.images).flatMap(([key, { sources, insecure }]) => {
    const isAsked = now.has(key) || sources.some((source) => source !== ARGUMENTS && asked.has(source));
    const name = isAsked ? RemoteName.tryParse(key) : undefined;
    return name === undefined ? [] : [{ name, insecure }];
  });
}

/** @throws the reason of the signal; everything else becomes an outcome. */
export async function refreshOne(
  session: Session,
  wanted: WantedImage,
  request: PrefetchRequest,
  clock: Clock,
): Promise<ImageOutcome> {
  const { name } = wanted;
  session.signal.throwIfAborted();
  const { quietHours = [] } = request;
  const from = allowedFrom(session.now(), quietHours);
  if (from === undefined || from > session.now()) return quiet(session, name, from);
  const pause = new AbortController();
  const over = new AbortController();
  const watch = quietHours.length === 0 ? undefined : pauseAtQuiet(session, quietHours, { pause, over, clock });
  try {
    return await refreshImage(session.part(name.toString(), pause.signal), wanted, request);
  } catch (error) {
    session.signal.throwIfAborted();
    if (pause.signal.aborted) return await quiet(session, name, allowedFrom(session.now(), quietHours));
    return { kind: 'failed', name, error: await noteFailure(session, name, error) };
  } finally {
    over.abort();
    await watch;
  }
}

function noMinuteLeft(): TartletError {
  return new TartletError('USAGE', 'the quiet hours leave no minute of the day');
}

async function quiet(session: Session, name: RemoteName, until: Date | undefined): Promise<ImageOutcome> {
  if (until === undefined) throw noMinuteLeft();
  const nextTry = until.toISOString();
  await noteEntry(session, name.toString(), (entry) => ({ ...entry, nextTry }));
  return { kind: 'quiet', name, until };
}

/** The longest sleep: the clock on the wall may be changed, and machines sleep. */
const LONGEST_SLEEP_MS = 30_000;

async function pauseAtQuiet(
  session: Session,
  windows: readonly QuietHours[],
  { pause, over, clock }: { pause: AbortController; over: AbortController; clock: Clock },
): Promise<void> {
  const until = quietFrom(session.now(), windows)?.getTime();
  if (until === undefined) return;
  try {
    for (let left = until - session.now().getTime(); left > 0; left = until - session.now().getTime())
      await clock.sleep(Math.min(left, LONGEST_SLEEP_MS), over.signal);
    pause.abort(new TartletError('INTERRUPTED', 'quiet hours have begun'));
  } catch {
    // The image is here, or has failed.
  }
}

/** All images that are wanted, and wholly here. In hexadecimal digits, for labels. */
export async function readyDigests(session: Session): Promise<string[]> {
  const { images } = await readPrefetchRecord(session.home);
  const digests = new Set<string>();
  for (const key of Object.keys(images)) {
    const name = RemoteName.tryParse(key);
    const image = name === undefined ? undefined : await session.images.find(name);
    if (image !== undefined) digests.add(image.digest.hex);
  }
  return [...digests].toSorted();
}
