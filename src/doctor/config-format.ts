import { readSmallFile } from '../fs/probe.ts';

/** Real ones have a few hundred bytes. */
const MAX_CONFIG_BYTES = 64 * 1024;
/** Tart's own way of writing a local VM's configuration: a space on both sides of each colon (tart-formats §3). */
const LOCAL_FORMAT = /^\{\s*"[^"]*" : /;

/** Whether a configuration is written the way Tart writes those of local VMs. */
export function isInLocalFormat(config: string): boolean {
  const read = readSmallFile(config, MAX_CONFIG_BYTES);
  return read.kind === 'found' && LOCAL_FORMAT.test(read.value.toString('utf8'));
}
