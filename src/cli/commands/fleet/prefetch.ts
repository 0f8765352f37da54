import { TartletError } from '../../../errors.ts';
import { RemoteName } from '../../../names/remote-name.ts';
import { prefetch, type PrefetchReport } from '../../../prefetch/prefetch.ts';
import { forgetPrefetched, rollBack } from '../../../prefetch/rollback.ts';
import { prefetchStatus } from '../../../prefetch/status.ts';
import { sayLabels, watchPrefetch } from '../../../prefetch/watch.ts';
import { renderJson } from '../../render/json.ts';
import { renderError } from '../../render/error.ts';
import {
  logLines,
  outcomeLine,
  problemsOf,
  reportJson,
  rolledBackJson,
  statusJson,
  statusTable,
} from '../../render/prefetch.ts';
import {
  parsePrefetchFlags,
  refuseBesideStatus,
  type PrefetchFlags,
  type PrefetchSettings,
} from '../../session/prefetch-settings.ts';
import { mirrorsBy, withSession } from '../../session/session.ts';
import { releaseNotes, writeError } from '../../terminal/message-stream.ts';
import { joined } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

/** Names of images have a slash, so that these words are none. */
const ACTIONS = { rollback: runRollback, forget: runForget } as const;

/** Keeps images ready, once or until it is stopped; tells how they are; leads one back, or forgets it. */
export async function runPrefetch(terminal: Terminal, words: readonly string[], flags: PrefetchFlags): Promise<number> {
  const [first = '', ...names] = words;
  if (first === 'rollback' || first === 'forget') return ACTIONS[first](terminal, onlyName(first, names), flags);
  if (flags.status === true) {
    refuseBesideStatus(words, flags);
    return runStatus(terminal, flags);
  }
  const settings = parsePrefetchFlags(terminal, words, flags);
  return flags.watch === true ? runWatch(terminal, settings, flags) : runOnce(terminal, settings, flags);
}

async function runOnce(terminal: Terminal, settings: PrefetchSettings, flags: PrefetchFlags): Promise<number> {
  return withSession(
    terminal,
    async (session, say) => {
      const report = await prefetch(session, settings.request);
      for (const outcome of report.images) if (outcome.kind !== 'failed') say(outcomeLine(outcome));
      if (flags.format === 'json') terminal.stdout.write(renderJson(reportJson(report)));
      const isLabelled = settings.labels === undefined || (await sayLabels(session, settings.labels));
      const problems = problemsOf(report).map((error) =>
        renderError(error, terminal.stderr, terminal.environment, terminal.programName),
      );
      if (problems.length > 0) writeError(terminal.stderr, joined(problems));
      return isLabelled && problems.length === 0 ? 0 : 1;
    },
    {
      report: flags,
      limitRate: flags.limitRate,
      mirrors: mirrorsBy(flags),
      peers: flags,
      stdout: flags.format === 'json' ? 'result' : 'progress',
    },
  );
}

/** Being stopped is its normal end. */
async function runWatch(terminal: Terminal, settings: PrefetchSettings, flags: PrefetchFlags): Promise<number> {
  releaseNotes(terminal.stderr); // They are its log.
  const work = withSession(
    terminal,
    async (session, say) => {
      const tell = (report: PrefetchReport): void => {
        const at = terminal.now().toISOString();
        for (const line of logLines(report)) say(`${at} ${line}`);
      };
      return watchPrefetch(session, {
        ...settings.request,
        ...settings.rhythm,
        labels: settings.labels,
        onReport: tell,
        onReload: (listener) => terminal.onReload(listener),
      });
    },
    { report: flags, limitRate: flags.limitRate, mirrors: mirrorsBy(flags), peers: flags, stdout: 'progress' },
  );
  try {
    return await work;
  } catch (error) {
    if (terminal.signal.aborted) return 0;
    throw error;
  }
}

async function runStatus(terminal: Terminal, { format }: PrefetchFlags): Promise<number> {
  return withSession(
    terminal,
    async (session) => {
      const images = await prefetchStatus(session);
      terminal.stdout.write(format === 'json' ? renderJson(statusJson(images)) : statusTable(images, terminal));
      return 0;
    },
    { cache: 'untouched' },
  );
}

async function runRollback(terminal: Terminal, name: RemoteName, flags: PrefetchFlags): Promise<number> {
  return withSession(
    terminal,
    async (session, say) => {
      const outcome = await rollBack(session, name);
      if (flags.format === 'json') terminal.stdout.write(renderJson(rolledBackJson(outcome)));
      else say(`${name.toString()} leads to ${outcome.digest.toString()} again`);
      return 0;
    },
    { report: flags },
  );
}

async function runForget(terminal: Terminal, name: RemoteName, flags: PrefetchFlags): Promise<number> {
  return withSession(
    terminal,
    async (session, say) => {
      const wasKnown = await forgetPrefetched(session, name);
      say(`${name.toString()} ${wasKnown ? 'is not prefetched any more' : 'was not prefetched'}`);
      return 0;
    },
    { report: flags },
  );
}

function onlyName(action: string, [text, ...more]: readonly string[]): RemoteName {
  if (text !== undefined && more.length === 0) return RemoteName.parse(text);
  throw new TartletError('USAGE', `${action} is of one image`, {
    next: { kind: 'in-words', words: `give its name behind ${action}` },
  });
}
