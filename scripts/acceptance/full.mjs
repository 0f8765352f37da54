/**
 * A disk that is really full below a VM whose disk arrives, at each stage: with the home, only the VMs and only the
 * cache on it. Each says so, goes on when there is room, and loses nothing that was flushed. Needs root, to mount.
 *
 *     npm run acceptance full
 */
import { runTests } from './lazy/by-tests.mjs';

/** @returns the exit code. */
export async function main() {
  const { isGood } = runTests('real/lazy-full-disk.test.ts', 'D38', { TARTLET_LAZY_FULL: 'all' });
  return isGood ? 0 : 1;
}
