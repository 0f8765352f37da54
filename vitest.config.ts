import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Pure code, files of this machine and sockets in this process: nothing of `dist`, no other program. */
const UNIT = ['names', 'oci', 'credentials', 'errors', 'hypervisor', 'guest', 'migration', 'session', 'home'];

const common = {
  testTimeout: 30_000,
  hookTimeout: 60_000,
  // Without that a condition must be so within a second, which a machine at other work does not always give.
  expect: { poll: { timeout: 20_000 } },
  // Commands of tests leave nothing in the cache directory of the user who runs them.
  env: { NODE_DISABLE_COMPILE_CACHE: '1' },
};
/** What runs the built command, or its worker threads. */
const built = { ...common, globalSetup: ['test/support/build.ts'] };
/** It kills a process at random times, and so takes its time. */
const SLOW = ['test/credentials/killed-writer.test.ts'];
const within = (...directories: readonly string[]): string[] => directories.map((each) => `test/${each}/**/*.test.ts`);

export default defineConfig({
  test: {
    maxWorkers: availableParallelism(),
    projects: [
      { test: { ...common, name: 'unit', include: within(...UNIT), exclude: SLOW } },
      {
        test: {
          ...built,
          name: 'integration',
          include: [`test/!(${[...UNIT, 'crash', 'fuzz'].join('|')})/**/*.test.ts`, 'test/*.test.ts', ...SLOW],
        },
      },
      { test: { ...built, name: 'crash', include: within('crash') } },
      { test: { ...built, name: 'fuzz', include: within('fuzz') } },
    ],
  },
});
