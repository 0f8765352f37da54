import { unreachable } from '../../errors.ts';
import type { NotLazy } from '../../lazy-disk/choose.ts';
import type { StartEstimate } from '../../lazy-disk/estimate.ts';
import type { RunEvent } from '../../run/run-request.ts';
import { humanBytes } from './quantity.ts';

type Needs = Pick<StartEstimate, 'startBytes' | 'wholeBytes'> & Partial<Pick<StartEstimate, 'bytesPerSecond'>>;

/** What the start of a guest needs, and how long that takes: `about 210 MB of 1.4 GB, at 12 MB/s about 18 s`. */
function startNeeds({ startBytes, wholeBytes, bytesPerSecond }: Needs): string {
  const bytes = `about ${roughBytes(startBytes)} of ${humanBytes(wholeBytes, 1)}`;
  if (bytesPerSecond === undefined) return bytes;
  return `${bytes}, at ${roughBytes(bytesPerSecond)}/s ${roughSeconds(startBytes / bytesPerSecond)}`;
}

/** Said of a VM that was made without its disk. */
export function lazyNote(start: StartEstimate | undefined): string {
  const needs = start === undefined || start.wholeBytes === 0 ? '' : `: its start needs ${startNeeds(start)}`;
  return `note: the disk arrives when the VM runs${needs}`;
}

/** Said when a guest begins while its disk arrives. */
export function arrivesNote(event: Extract<RunEvent, { readonly kind: 'disk-arrives' }>): string {
  return `note: the guest begins while its disk arrives: its start needs ${startNeeds(event)} of ${event.image}`;
}

/** Said when it was seen how fast that is. */
export function rateNote({ startBytes, bytesPerSecond }: Extract<RunEvent, { readonly kind: 'disk-rate' }>): string {
  const seconds = roughSeconds(startBytes / bytesPerSecond);
  return `note: the disk arrives at ${roughBytes(bytesPerSecond)}/s: what the start needs is here in ${seconds}`;
}

/** Said before an image is pulled as a whole that could have arrived while its VM runs. */
export function wholeNote(why: NotLazy): string {
  return `note: pulled as a whole, not on demand: ${reasonOf(why)}`;
}

function reasonOf(why: NotLazy): string {
  switch (why.kind) {
    case 'not-for-linux':
      return 'the VM does not run on Linux';
    case 'whole-is-quick':
      return quick(why.estimate);
    case 'parts-too-large':
      return tooLarge(why.estimate);
    case 'start-needs-most':
      return `the start needs ${startNeeds(why.estimate)}`;
    default:
      return unreachable(why);
  }
}

function quick({ wholeBytes, bytesPerSecond = 0 }: StartEstimate): string {
  if (wholeBytes === 0) return 'nothing of its disk has to be fetched';
  const seconds = roughSeconds(wholeBytes / bytesPerSecond);
  return `that takes ${seconds} (${humanBytes(wholeBytes, 1)} at ${roughBytes(bytesPerSecond)}/s)`;
}

function tooLarge(estimate: StartEstimate): string {
  const { partBytes, partDiskBytes, bytesPerSecond } = estimate;
  const part = `${humanBytes(partBytes)} for ${humanBytes(partDiskBytes)} of the disk`;
  const wait = bytesPerSecond === undefined ? '' : `, ${roughSeconds(partBytes / bytesPerSecond)} each`;
  return `the guest would wait for parts of ${part}${wait}, and its start needs ${startNeeds(estimate)}`;
}

/** Two digits: more would say that an estimate is exact. */
function roughBytes(bytes: number): string {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, bytes))) - 1);
  const rounded = Math.round(bytes / unit) * unit;
  const decimals = rounded >= 1000 && rounded < 10 * 1000 ** Math.floor(Math.log10(rounded) / 3) ? 1 : 0;
  return humanBytes(rounded, decimals);
}

function roughSeconds(seconds: number): string {
  if (seconds < 1) return 'less than 1 s';
  return seconds < 120 ? `about ${Math.round(seconds)} s` : `about ${Math.round(seconds / 60)} min`;
}
