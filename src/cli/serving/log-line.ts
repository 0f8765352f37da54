import type { RegistryEvent } from '../../server/settings/event.ts';
import { humanBytes } from '../render/quantity.ts';
import { printableLine, type Printable } from '../terminal/printable.ts';

/** How `serve` writes its log. */
export type LogFormat = 'text' | 'json';

/** What `serve` itself has to say. */
export type ServeNote = { readonly kind: 'note'; readonly message: string };

/** Writes one thing that happened as a line of the log. */
export function logLine(format: LogFormat, time: Date, event: RegistryEvent | ServeNote): Printable {
  // What a name or a client may bring is escaped by JSON and made printable by the terminal: the line stays one.
  if (format === 'json') return printableLine(JSON.stringify({ time: time.toISOString(), ...jsonEvent(event) }));
  return printableLine(`${time.toISOString()} ${describeEvent(event)}`);
}

function describeEvent(event: RegistryEvent | ServeNote): string {
  switch (event.kind) {
    case 'request': {
      const { method, path: target, status, durationMs, remote, user } = event;
      const outcome = status === 0 ? 'hung up' : String(status);
      return `${remote} ${nameOf(user)} ${method} ${target} ${outcome} ${Math.round(durationMs)} ms`;
    }
    case 'failure':
      return `failure: ${event.method} ${event.path}: ${event.message}`;
    case 'upstream-failed':
      return `upstream failed: ${event.upstream} ${event.what}: ${event.message}`;
    case 'uploads-expired':
      return `${event.count} abandoned uploads were dropped`;
    case 'garbage-collected':
      return `${event.blobs} blobs that nothing needed were removed (${humanBytes(event.bytes, 1)})`;
    case 'note':
      return event.message;
  }
}

/** Names that do not change; a field that is not known is null. */
function jsonEvent(event: RegistryEvent | ServeNote): object {
  switch (event.kind) {
    case 'request':
      return {
        event: 'request',
        client: event.remote,
        user: event.user ?? null,
        method: event.method,
        path: event.path,
        route: event.route,
        repository: event.repository ?? null,
        // A client that went away before an answer has none.
        status: event.status === 0 ? null : event.status,
        receivedBytes: event.receivedBytes,
        sentBytes: event.sentBytes,
        ms: Math.round(event.durationMs),
        userAgent: event.userAgent ?? null,
      };
    case 'failure':
      return { event: 'failure', method: event.method, path: event.path, message: event.message };
    case 'upstream-failed':
      return { event: event.kind, upstream: event.upstream, what: event.what, message: event.message };
    case 'uploads-expired':
      return { event: 'uploads-expired', count: event.count };
    case 'garbage-collected':
      return { event: 'garbage-collected', blobs: event.blobs, bytes: event.bytes };
    case 'note':
      return { event: 'note', message: event.message };
  }
}

/**
 * In quotes where it is more than a word: a token may hold any user name, also one that looks like the rest of the
 * line.
 */
function nameOf(user: string | undefined): string {
  if (user === undefined) return '-';
  return /^[\p{L}\p{N}_.@:+/=][\p{L}\p{N}_.@:+/=-]*$/u.test(user) ? user : JSON.stringify(user);
}
