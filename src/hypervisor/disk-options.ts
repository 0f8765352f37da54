import { DEFAULT_DISK_OPTIONS, type DiskCaching, type DiskOptions, type DiskSync } from './machine.ts';

const SYNC = new Set<string>(['none', 'fsync', 'full'] satisfies DiskSync[]);
const CACHING = new Set<string>(['automatic', 'cached', 'uncached'] satisfies DiskCaching[]);

/**
 * Reads `PATH[:OPTIONS]`: the last field behind a colon is a list of options when one of them is known, and else a part
 * of the path (tart-cli §1.3). Unknown options beside a known one are passed over, as Tart does.
 */
export function parseDiskText(text: string): { readonly path: string; readonly options: DiskOptions } {
  const colon = text.lastIndexOf(':');
  const found = colon < 0 ? undefined : parseDiskOptions(text.slice(colon + 1));
  return found === undefined
    ? { path: text, options: DEFAULT_DISK_OPTIONS }
    : { path: text.slice(0, colon), options: found };
}

/** Reads `ro,sync=none,caching=cached`. @returns undefined when none of the options is known. */
export function parseDiskOptions(text: string): DiskOptions | undefined {
  let known = false;
  let options = DEFAULT_DISK_OPTIONS;
  for (const option of text.split(',')) {
    const [key, value = ''] = option.split('=', 2);
    if (option === 'ro') options = { ...options, readOnly: true };
    else if (key === 'sync' && isSync(value)) options = { ...options, sync: value };
    else if (key === 'caching' && isCaching(value)) options = { ...options, caching: value };
    else continue;
    known = true;
  }
  return known ? options : undefined;
}

function isSync(value: string): value is DiskSync {
  return SYNC.has(value);
}

function isCaching(value: string): value is DiskCaching {
  return CACHING.has(value);
}
