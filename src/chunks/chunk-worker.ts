import { parentPort } from 'node:worker_threads';
import { TartletError, toPlainError, unreachable } from '../errors.ts';
import { Peers } from '../peering/peers.ts';
import { systemClock } from '../registry/request/clock.ts';
import { ChunkEncoder } from './chunk-encode.ts';
import { type ChunkContext, fetchChunk, unpackChunk, verifyChunk } from './chunk-fetch.ts';
import type { ChunkJob, ChunkResult, FromWorker, PeerBytes, RegistrySettings, ToWorker } from './chunk-job.ts';
import { pushChunk } from './chunk-push.ts';
import { clearChunk, copyChunk, digestChunk } from './chunk-reuse.ts';
import { fetchPieces } from './piece-read.ts';
import { RegistryClients, withLeft, withNoneLeft, withPartLimit } from './registry-clients.ts';
import { Pause } from './urgency/pause.ts';
import { pausingFetcher } from './urgency/pausing-fetcher.ts';
import { Stopwatch } from './time-spent.ts';

/*
 * The thread that does a chunk from end to end. It lives as long as a transfer and does one job after another;
 * credentials stay on the main thread, which answers the registry's challenges for all workers.
 */

/**
 * Progress is told so often, in milliseconds: each message wakes the main thread, and costs as much as hashing a third
 * of a megabyte.
 */
const REPORT_MS = 100;

const port = parentPort;
if (port === null) throw new TartletError('INTERNAL', 'this file is the entry of a worker thread');

/** The jobs under way. */
const running = new Map<number, Running>();

interface Running {
  readonly kind: ChunkJob['kind'];
  readonly controller: AbortController;
  readonly pause: Pause;
}
const encoder = new ChunkEncoder();
let settings: RegistrySettings | undefined;
let source: RegistryClients | undefined;
let peers: Peers | undefined;

/** Made for the first job that needs them: jobs that only read disks have no registry. */
function registryClients(): RegistryClients {
  if (settings === undefined) throw new TartletError('INTERNAL', 'this worker was told of no registry');
  source ??= new RegistryClients(settings, say);
  return source;
}

/*
 * While there are jobs, only they keep the thread alive. When nothing is left that could finish them, their thread says
 * so: otherwise their callers would wait for ever.
 */
process.on('beforeExit', () => {
  for (const [id, { kind }] of running) {
    const message = `a ${kind} job stopped in its middle: nothing is left that could finish it`;
    say({ kind: 'error', id, error: toPlainError(new TartletError('INTERNAL', message)) });
  }
  running.clear();
  port.ref();
});

port.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'registry':
      ({ settings } = message);
      break;
    case 'peers':
      peers = new Peers(message.list, (peer, fault) => say({ kind: 'peer-dropped', peer, fault }));
      break;
    case 'peer-dropped':
      peers?.hearDropped(message.peer, message.fault);
      break;
    case 'abort':
      running.get(message.id)?.controller.abort(new TartletError('INTERRUPTED', 'the transfer was interrupted'));
      break;
    case 'pause':
      running.get(message.id)?.pause.set(message.state);
      break;
    case 'hold':
      source?.spare(message);
      break;
    case 'endpoint-left':
      source?.leave(message);
      if (settings !== undefined) settings = withLeft(settings, message);
      break;
    case 'ask-all-again':
      source?.askAllAgain();
      if (settings !== undefined) settings = withNoneLeft(settings);
      break;
    case 'part-limit':
      source?.limitParts(message);
      // For clients that are still to be made.
      if (settings !== undefined) settings = withPartLimit(settings, message);
      break;
    case 'job':
      void work(message.id, message.job);
      break;
  }
});

function say(message: FromWorker): void {
  port?.postMessage(message);
}

async function work(id: number, job: ChunkJob): Promise<void> {
  const controller = new AbortController();
  const pause = new Pause();
  running.set(id, { kind: job.kind, controller, pause });
  port?.unref();
  let pending = 0;
  let worked = 0;
  let fromPeers = { wire: 0, spared: 0 };
  let reported = systemClock.monotonic();
  const report = (): void => {
    if (pending !== 0) say({ kind: 'bytes', id, count: pending });
    if (worked !== 0) say({ kind: 'work', id, diskBytes: worked });
    if (fromPeers.wire !== 0) say({ kind: 'peer-bytes', id, bytes: fromPeers });
    pending = 0;
    worked = 0;
    fromPeers = { wire: 0, spared: 0 };
  };
  const reportNowAndThen = (): void => {
    if (systemClock.monotonic() - reported < REPORT_MS) return;
    reported = systemClock.monotonic();
    report();
  };
  const onBytes = (count: number): void => {
    pending += count;
    reportNowAndThen();
  };
  const onPeerBytes = ({ wire, spared }: PeerBytes): void => {
    fromPeers = { wire: fromPeers.wire + wire, spared: fromPeers.spared + spared };
    reportNowAndThen();
  };
  const onWork = (diskBytes: number): void => {
    worked += diskBytes;
    reportNowAndThen();
  };
  const stopwatch = new Stopwatch(() => systemClock.monotonic());
  try {
    const asked = peers === undefined ? undefined : { peers, onPeerBytes, pause };
    const { signal } = controller;
    const result = await perform({ id, job, pause }, { signal, onBytes, onWork, stopwatch, fromPeers: asked });
    report();
    say({ kind: 'spent', spent: stopwatch.spent });
    say({ kind: 'result', id, result });
  } catch (error) {
    report();
    say({ kind: 'error', id, error: toPlainError(controller.signal.aborted ? controller.signal.reason : error) });
  } finally {
    running.delete(id);
    if (running.size === 0) port?.ref();
  }
}

async function perform(
  { id, job, pause }: { readonly id: number; readonly job: ChunkJob; readonly pause: Pause },
  context: Omit<ChunkContext, 'client'>,
): Promise<ChunkResult> {
  switch (job.kind) {
    case 'fetch':
      return fetchChunk(job, { ...context, client: pausingFetcher(registryClients().source, pause) });
    case 'pieces': {
      const onPiece = (index: number): void => say({ kind: 'piece', id, index });
      return fetchPieces(job, { ...context, client: pausingFetcher(registryClients().source, pause), onPiece });
    }
    case 'verify':
      return verifyChunk(job, context.signal, context.stopwatch);
    case 'copy':
      return copyChunk(job, context.signal, context.stopwatch);
    case 'clear':
      return clearChunk(job, context.signal, context.stopwatch);
    case 'digest':
      return digestChunk(job, context.signal, context.stopwatch, context.onWork);
    case 'unpack':
      return unpackChunk(job, context);
    case 'encode':
      return encoder.encode(job, context.signal, context.stopwatch, context.onWork);
    case 'push':
      return pushChunk(job, { ...context, client: registryClients().target });
    default:
      return unreachable(job);
  }
}
