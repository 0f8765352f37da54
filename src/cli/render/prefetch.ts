import { TartletError } from '../../errors.ts';
import type { PrefetchReport } from '../../prefetch/prefetch.ts';
import type { ImageOutcome } from '../../prefetch/refresh.ts';
import type { RolledBack } from '../../prefetch/rollback.ts';
import type { PrefetchStatus } from '../../prefetch/status.ts';
import type { Printable } from '../terminal/printable.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { humanBytes, isoSeconds, relativeTime } from './quantity.ts';
import { renderTable } from './table.ts';

/** What became of an image, for people. */
export function outcomeLine(outcome: ImageOutcome): string {
  const name = outcome.name.toString();
  switch (outcome.kind) {
    case 'ready':
      return outcome.isNew
        ? `${name} leads to ${outcome.digest.toString()} now (${humanBytes(outcome.fetchedBytes, 1)} fetched)`
        : `${name} is ready (${outcome.digest.toString()})`;
    case 'held-back':
      return `${name} stays as it is: ${outcome.rejected.toString()} was gone back from`;
    case 'quiet':
      return `${name} is not fetched before ${isoSeconds(outcome.until)}: quiet hours`;
    case 'failed':
      return `${name} is not ready: ${outcome.error.message}`;
  }
}

/** Everything that keeps a run from being a success: lists, their entries, images. */
export function problemsOf({ images, failedSources, broken }: PrefetchReport): TartletError[] {
  return [
    ...failedSources.map(({ source, error }) => about(`${source} was not read`, error)),
    ...broken.map(({ source, entry, reason }) => {
      const message = `${source}: ${entry} is passed over: ${reason}`;
      return new TartletError('NAME_MALFORMED', message, { next: { kind: 'in-words', words: 'correct the list' } });
    }),
    ...images.flatMap((outcome) =>
      outcome.kind === 'failed' ? [about(`${outcome.name.toString()} is not ready`, outcome.error)] : [],
    ),
  ];
}

function about(what: string, { code, message, facts }: TartletError): TartletError {
  return new TartletError(code, `${what}: ${message}`, facts);
}

/** The same, and what went well, for a log. */
export function logLines(report: PrefetchReport): string[] {
  const good = report.images.filter(({ kind }) => kind !== 'failed').map(outcomeLine);
  return [...problemsOf(report).map(({ code, message }) => `${message} (${code})`), ...good];
}

export function reportJson({ images, failedSources, broken }: PrefetchReport): object {
  return {
    schema: 'tartlet.prefetch/v1',
    images: images.map((outcome) => ({
      name: outcome.name.toString(),
      outcome: outcome.kind,
      digest: outcome.kind === 'ready' ? outcome.digest.toString() : null,
      isNew: outcome.kind === 'ready' ? outcome.isNew : null,
      fetchedBytes: outcome.kind === 'ready' ? outcome.fetchedBytes : 0,
      rejected: outcome.kind === 'held-back' ? outcome.rejected.toString() : null,
      until: outcome.kind === 'quiet' ? isoSeconds(outcome.until) : null,
      error: outcome.kind === 'failed' ? { code: outcome.error.code, message: outcome.error.message } : null,
    })),
    failedSources: failedSources.map(({ source, error }) => ({
      source,
      error: { code: error.code, message: error.message },
    })),
    brokenEntries: broken.map(({ source, entry, reason }) => ({ source, entry, reason })),
  };
}

export function rolledBackJson({ name, digest, rejected }: RolledBack): object {
  return {
    schema: 'tartlet.prefetch-rollback/v1',
    name: name.toString(),
    digest: digest.toString(),
    rejected: rejected?.toString() ?? null,
  };
}

export function statusJson(images: readonly PrefetchStatus[]): object {
  const at = (date: Date | undefined): string | null => (date === undefined ? null : isoSeconds(date));
  return {
    schema: 'tartlet.prefetch-status/v1',
    images: images.map((image) => ({
      name: image.name.toString(),
      sources: image.sources,
      digest: image.digest?.toString() ?? null,
      bytes: image.bytes ?? null,
      previous: image.previous?.toString() ?? null,
      rejected: image.rejected?.toString() ?? null,
      lastTry: at(image.lastTry),
      lastSuccess: at(image.lastSuccess),
      nextTry: at(image.nextTry),
      error: image.error ?? null,
      fetchedBytes: image.fetchedBytes,
    })),
  };
}

export function statusTable(images: readonly PrefetchStatus[], terminal: Terminal): Printable {
  const now = terminal.now();
  const ago = (date: Date | undefined): string => (date === undefined ? '-' : relativeTime(date, now));
  const short = (digest: { readonly hex: string } | undefined): string => digest?.hex.slice(0, 12) ?? '-';
  return renderTable(
    ['Name', 'Digest', 'Previous', 'Size', 'Tried', 'Ready', 'Next', 'Error'],
    images.map((image) => [
      image.name.toString(),
      short(image.digest),
      short(image.previous),
      image.bytes === undefined ? '-' : humanBytes(image.bytes),
      ago(image.lastTry),
      ago(image.lastSuccess),
      ago(image.nextTry),
      image.error?.code ?? '-',
    ]),
    terminal.stdout,
    'Name',
  );
}
