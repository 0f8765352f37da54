import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/build.ts'],
    // Commands of tests leave nothing in the cache directory of the user who runs them.
    env: { NODE_DISABLE_COMPILE_CACHE: '1' },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores: more forks only fight each other for them.
    maxWorkers: 2,
  },
});
