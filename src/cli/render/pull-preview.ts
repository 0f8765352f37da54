import { unreachable } from '../../errors.ts';
import type { PlanSummary } from '../../session/plan-summary.ts';
import type { PullPreview } from '../../transfer/pull/pull-preview.ts';
import { foldText, type MaybeNarrow } from '../terminal/fold.ts';
import { type Printable, printable, printableLines, printed } from '../terminal/printable.ts';
import { counted, humanBytes } from './quantity.ts';
import { renderTable } from './table.ts';

/**
 * How a place that chunks come from is called: `registry.example/base:14`, `the VM ci`,
 * `an unfinished pull of sha256:…`.
 */
function seedText({ seed }: PlanSummary['reused'][number]): string {
  switch (seed.kind) {
    case 'image':
      return seed.name;
    case 'vm':
      return `the VM ${seed.name}`;
    case 'partial':
      return `an unfinished pull of ${seed.name}`;
    default:
      return unreachable(seed.kind);
  }
}

/**
 * What needs no fetching, in the words of a sentence: `44.1 GB from registry.example/base:14, 3.0 GB zero`; undefined
 * for nothing.
 */
export function reuseText(plan: PlanSummary): string | undefined {
  const parts = [
    ...plan.reused.map((each) => `${humanBytes(each.bytes, 1)} from ${printable(seedText(each))}`),
    ...(plan.partialBytes === 0 ? [] : [`${humanBytes(plan.partialBytes, 1)} from an earlier try`]),
    ...(plan.storedBytes === 0 ? [] : [`${humanBytes(plan.storedBytes, 1)} stored already`]),
    ...(plan.zeroBytes === 0 ? [] : [`${humanBytes(plan.zeroBytes, 1)} zero`]),
  ];
  return parts.length === 0 ? undefined : parts.join(', ');
}

/** For people: what a pull would do, and whether there is room for it. */
export function previewText(preview: PullPreview, screen: MaybeNarrow = {}): Printable {
  const { name, digest, status, plan, fromPeers, space } = preview;
  const title = printable(`${name.toString()} (${digest.toString()})`);
  if (status === 'present') return foldText(printed`${title} is up to date\n`, screen);
  if (status === 'linked') return foldText(printed`${title} is cached already and would get its tag\n`, screen);
  const { chunks } = plan;
  const rows = [
    ['fetch', humanBytes(plan.fetchBytes, 1), counted(chunks.fetch, 'chunk'), 'the registry'],
    ...(fromPeers.chunks === 0
      ? []
      : [['of these', humanBytes(fromPeers.bytes, 1), counted(fromPeers.chunks, 'chunk'), 'peers, as they say']]),
    ...plan.reused.map((each) => ['reuse', humanBytes(each.bytes, 1), counted(each.chunks, 'chunk'), seedText(each)]),
    ['partial', humanBytes(plan.partialBytes, 1), counted(chunks.partial, 'chunk'), 'an earlier try'],
    ['stored', humanBytes(plan.storedBytes, 1), '', 'the content store'],
    ['zero', humanBytes(plan.zeroBytes, 1), counted(chunks.zero, 'chunk'), ''],
  ].filter(([what, bytes]) => what === 'fetch' || bytes !== '0 B');
  const range = [...new Set([space.atLeast, space.atMost].map((bytes) => humanBytes(bytes, 1)))].join(' to ');
  const room = space.free < space.atLeast ? ': that is not enough' : '';
  const lines = [
    `disk of ${humanBytes(plan.diskBytes, 1)}; space needed ${range}, free ${humanBytes(space.free, 1)}${room}`,
    ...preview.deletions.map(
      ({ name: old, bytes }) => `would delete ${old.toString()} if need be (${humanBytes(bytes, 1)})`,
    ),
  ];
  const table = renderTable(['What', 'Size', 'Chunks', 'From'], rows, screen, 'From');
  return printed`${foldText(title, screen)}\n${table}${foldText(printableLines(lines), screen)}`;
}

/**
 * For programs; all numbers are whole bytes or counts. Disk bytes are decoded, `fetchBytes` as they cross the network.
 */
export function previewJson({ name, digest, status, plan, fromPeers, space, deletions }: PullPreview): object {
  return {
    schema: 'tartlet.pull-plan/v1',
    name: name.toString(),
    digest: digest.toString(),
    status: { present: 'present', linked: 'link', pulled: 'pull' }[status],
    diskBytes: plan.diskBytes,
    fetchBytes: plan.fetchBytes,
    peerBytes: fromPeers.bytes,
    reusedBytes: plan.reused.reduce((sum, { bytes }) => sum + bytes, 0),
    reusedFrom: plan.reused.map(({ seed, bytes, chunks }) => ({ kind: seed.kind, name: seed.name, bytes, chunks })),
    partialBytes: plan.partialBytes,
    storedBytes: plan.storedBytes,
    zeroBytes: plan.zeroBytes,
    chunks: plan.chunks,
    space: {
      neededBytes: space.atMost,
      leastBytes: space.atLeast,
      freeBytes: space.free,
      fits: space.free >= space.atLeast,
    },
    deletions: deletions.map((each) => ({ kind: each.kind, name: each.name.toString(), bytes: each.bytes })),
  };
}
