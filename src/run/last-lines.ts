import { readTail } from './serial-log.ts';

/** What moves cursors and colours text (ECMA-48, "CSI"). */
// oxlint-disable-next-line no-control-regex -- it begins with one
const COMMAND = /\u001B\[[0-9;?]*[A-Za-z]/g;

/** The lines at the end of a VM's serial log, those that are not empty, without what commands terminals. @returns none where none can be read. */
export async function lastLines(directory: string): Promise<readonly string[]> {
  const bytes = await readTail(directory).catch(() => new Uint8Array());
  return Buffer.from(bytes)
    .toString('utf8')
    .replaceAll(COMMAND, '')
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');
}
