/** A file system whose files can share blocks, where the machine has none: XFS in a file. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';

/**
 * Runs `use` with a directory on such a file system, and unmounts it.
 * @returns undefined where mounting is not allowed, or where nothing makes XFS (Debian: xfsprogs).
 */
export async function withSharingDisk(work, bytes, use) {
  const [image, directory] = [`${work}/xfs`, `${work}/mounted`];
  writeFileSync(image, '');
  truncateSync(image, bytes);
  mkdirSync(directory);
  try {
    if (!succeeds('mkfs.xfs', '-q', image) || !succeeds('mount', '-o', 'loop', image, directory)) return undefined;
    try {
      return await use(directory);
    } finally {
      succeeds('umount', '--lazy', directory);
    }
  } finally {
    rmSync(image);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Programs for disks may lie where only root looks. */
function succeeds(program, ...options) {
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  return spawnSync(program, options, { env, stdio: 'ignore' }).status === 0;
}
