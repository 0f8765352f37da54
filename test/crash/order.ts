import { DESCRIPTOR_CALLS, Descriptors } from './descriptors.ts';

/*
 * What a power cut would take and a kill does not (reliability §4.6): the order of flushes, read from a log of
 * `strace -f -y`. Rules: a file is flushed after its last write before it is renamed into a published place; a
 * directory is flushed after what was created, renamed or removed in it, so that of what is published every new
 * directory above was flushed as well (only the removal of an empty directory needs no flush: it harms nobody if it
 * comes back); nothing is written to what is published; an image or a VM goes out of sight as a whole before its files
 * are removed; a tag goes, and its directory is flushed, before what it leads to goes.
 */

/** One call that matters, in the order of the log. */
export type Event =
  | { readonly kind: 'write' | 'flush'; readonly path: string }
  | { readonly kind: 'make' | 'remove' | 'tidy'; readonly path: string }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string };

/** Where files are not published yet, or may be lost without harm, so that nothing need be durable. */
export interface Unpublished {
  (path: string): boolean;
}

const QUOTED = '"((?:[^"\\\\]|\\\\.)*)"';
const AT = `(?:AT_FDCWD(?:<[^>]*>)?, )?`;
const PATTERNS: readonly [RegExp, (match: RegExpExecArray) => Event][] = [
  [/\b(?:pwrite64|pwritev|write|writev|ftruncate)\(\d+<([^>]*)>/, ([, path = '']) => ({ kind: 'write', path })],
  [/\b(?:fsync|fdatasync)\(\d+<([^>]*)>/, ([, path = '']) => ({ kind: 'flush', path })],
  [
    new RegExp(`\\b(?:rename|renameat|renameat2)\\(${AT}${QUOTED}, ${AT}${QUOTED}`),
    ([, from = '', to = '']) => ({ kind: 'rename', from, to }),
  ],
  [new RegExp(`\\b(?:mkdir|mkdirat)\\(${AT}${QUOTED}`), ([, path = '']) => ({ kind: 'make', path })],
  [new RegExp(`\\bsymlink\\(${QUOTED}, ${QUOTED}`), ([, target = '', path = '']) => ({ kind: 'link', path, target })],
  [new RegExp(`\\blink\\(${QUOTED}, ${QUOTED}`), ([, , path = '']) => ({ kind: 'make', path })],
  [new RegExp(`\\bopenat\\(${AT}${QUOTED}, [^)]*O_CREAT`), ([, path = '']) => ({ kind: 'make', path })],
  [new RegExp(`\\bunlink\\(${QUOTED}`), ([, path = '']) => ({ kind: 'remove', path })],
  [new RegExp(`\\brmdir\\(${QUOTED}`), ([, path = '']) => ({ kind: 'tidy', path })],
];

/** The calls whose order is checked. */
export const ORDERED_CALLS = `pwrite64,pwritev,write,writev,ftruncate,fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat,symlink,link,unlink,rmdir,${DESCRIPTOR_CALLS}`;

/**
 * The events of a log below a directory. Calls that failed changed nothing, and calls in two lines count where they
 * end.
 */
export function readEvents(log: string, below: string): Event[] {
  const calls = wholeCalls(log);
  const descriptors = new Descriptors(calls);
  const events: Event[] = [];
  for (const { thread, text } of calls) {
    const event = PATTERNS.map(([pattern, make]) => [pattern.exec(text), make] as const)
      .flatMap(([match, make]) =>
        match === null ? [] : resolved(make(match), (path) => descriptors.resolve(thread, path)),
      )
      .at(0);
    if (event !== undefined && pathsOf(event).some((path) => `${path}/`.startsWith(`${below}/`))) events.push(event);
    descriptors.read(thread, text);
  }
  return events;
}

interface Call {
  readonly thread: string;
  readonly text: string;
}

function wholeCalls(log: string): Call[] {
  const begun = new Map<string, string>();
  const calls: Call[] = [];
  for (const line of log.split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (rest.endsWith('<unfinished ...>')) {
      begun.set(thread, rest);
      continue;
    }
    const text = rest.startsWith('<...') ? `${begun.get(thread) ?? ''} ${rest}` : rest;
    if (!/ = -1 /.test(text)) calls.push({ thread, text });
  }
  return calls;
}

function resolved(event: Event, resolve: (path: string) => string): Event {
  return event.kind === 'rename'
    ? { ...event, from: resolve(event.from), to: resolve(event.to) }
    : { ...event, path: resolve(event.path) };
}

function pathsOf(event: Event): string[] {
  return event.kind === 'rename' ? [event.from, event.to] : [event.path];
}

/** Findings, one line each; none when a power cut at any moment leaves the old or the new. */
export function checkOrder(events: readonly Event[], isUnpublished: Unpublished): string[] {
  const findings = new Set<string>();
  const unflushed = new Set<string>();
  const changedDirectories = new Map<string, string>();
  for (const event of events) {
    switch (event.kind) {
      case 'write':
        if (!isUnpublished(event.path) && !changedDirectories.has(parentOf(event.path))) {
          findings.add(`written in its published place: ${event.path}`);
        }
        unflushed.add(event.path);
        break;
      case 'flush':
        unflushed.delete(event.path);
        changedDirectories.delete(event.path);
        break;
      case 'make':
      case 'link':
      case 'remove':
        if (!isUnpublished(event.path)) changedDirectories.set(parentOf(event.path), event.path);
        if (event.kind === 'remove') unflushed.delete(event.path);
        break;
      case 'tidy':
        // What was in a directory that is gone need not be durable.
        changedDirectories.delete(event.path);
        if (changedDirectories.get(parentOf(event.path)) === event.path)
          changedDirectories.delete(parentOf(event.path));
        break;
      case 'rename':
        publish(event, { unflushed, changedDirectories, findings, isUnpublished });
        break;
    }
  }
  for (const [directory, change] of changedDirectories)
    findings.add(`the directory ${directory} was not flushed after ${change}`);
  for (const file of unflushed) if (!isUnpublished(file)) findings.add(`published and not flushed: ${file}`);
  return [...findings];
}

interface State {
  readonly unflushed: Set<string>;
  readonly changedDirectories: Map<string, string>;
  readonly findings: Set<string>;
  readonly isUnpublished: Unpublished;
}

function publish({ from, to }: { from: string; to: string }, state: State): void {
  for (const file of [...state.unflushed].filter((path) => path === from || path.startsWith(`${from}/`))) {
    state.unflushed.delete(file);
    if (state.isUnpublished(to)) state.unflushed.add(to + file.slice(from.length));
    else state.findings.add(`renamed to ${to} before it was flushed: ${file}`);
  }
  if (!state.isUnpublished(to)) state.changedDirectories.set(parentOf(to), to);
  if (!state.isUnpublished(from)) state.changedDirectories.set(parentOf(from), from);
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
