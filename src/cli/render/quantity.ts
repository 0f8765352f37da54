import { humanBytes } from '../../names/byte-count.ts';
import { relativeTime } from '../../names/relative-time.ts';

export { humanBytes, relativeTime };

const GB = 1_000_000_000;

const SECOND = 1000;
const DAY = 24 * 60 * 60 * SECOND;

/**
 * Bytes in whole gigabytes of 10^9, truncated: `Disk` wherever programs read it, and `Size` in `list` (tart-cli §1.5,
 * §1.6).
 */
export function wholeGB(bytes: number): number {
  return Math.floor(bytes / GB);
}

/** Bytes in gigabytes of 10^9 with three decimals, as `get` has `Size`: `17.234` (tart-cli §1.5). */
export function exactGB(bytes: number): string {
  return (bytes / GB).toFixed(3);
}

/** @param rate bytes per second. */
export function humanRate(rate: number): string {
  return `${humanBytes(rate, 1)}/s`;
}

/**
 * A length of time in its two largest units: `45s`, `1m 2s`, `2h 3m`, `3d 4h`. Whatever is shorter than a second is
 * one.
 */
export function humanDuration(milliseconds: number): string {
  const seconds = Math.max(1, Math.round(milliseconds / SECOND));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes === 0) return `${seconds}s`;
  if (hours === 0) return `${minutes}m ${seconds % 60}s`;
  if (hours < 24) return `${hours}h ${minutes % 60}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** `1 chunk`, `3 chunks`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** How long something was not used, as people judge whether it may go: in days from one day on, `12 days ago`. */
export function unusedFor(milliseconds: number): string {
  const days = Math.floor(milliseconds / DAY);
  return days < 1 ? relativeTime(new Date(0), new Date(milliseconds)) : `${days} day${days === 1 ? '' : 's'} ago`;
}

/** ISO 8601 in UTC and whole seconds, as Tart writes times: `2026-02-23T18:55:36Z`. */
export function isoSeconds(time: Date): string {
  return time.toISOString().replace(/\.[0-9]{3}Z$/, 'Z');
}
