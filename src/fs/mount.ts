import { readFile, realpath, stat } from 'node:fs/promises';
import { onDisk } from './disk-error.ts';

/**
 * Whether something can be renamed from one directory into another: they lie on one file system, and on Linux also
 * below one mount. Two mounts of one file system, as volumes of containers are, look like one disk and still refuse it
 * (rename(2), EXDEV).
 *
 * @throws TartletError `DISK_*`
 */
export async function canRenameBetween(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map(placeOf));
  if (a?.device !== b?.device) return false;
  const mounts = await mountPoints();
  return mountOf(a?.real ?? '', mounts) === mountOf(b?.real ?? '', mounts);
}

async function placeOf(directory: string): Promise<{ readonly device: number; readonly real: string }> {
  return onDisk('look at', directory, async () => ({
    device: (await stat(directory)).dev,
    real: await realpath(directory),
  }));
}

/** Where file systems are mounted; none where the system has no such list. */
async function mountPoints(): Promise<readonly string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  return parseMountPoints(text);
}

/**
 * @internal exported for its table. The fifth field of each line, in which spaces and the like are written in octal
 * (proc(5)).
 */
export function parseMountPoints(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const point = line.split(' ')[4];
    return point === undefined
      ? []
      : [point.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))];
  });
}

/** The mount that a path lies below: the one with the longest name. */
function mountOf(real: string, points: readonly string[]): string {
  let longest = '';
  for (const point of points) {
    const isAbove = point === '/' || real === point || real.startsWith(`${point}/`);
    if (isAbove && point.length > longest.length) longest = point;
  }
  return longest;
}
