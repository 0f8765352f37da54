import type { TestContext } from 'vitest';

declare module 'vitest' {
  interface TaskMeta {
    /** Why a test was left out, for the count of the tests (`scripts/test-count.mjs`). */
    leftOut?: string;
  }
}

/** Leaves the test out that is running, and says why: in the report of vitest, and where the tests are counted. */
export function leaveOut(context: TestContext, isLeftOut: boolean, why: string): void {
  if (!isLeftOut) return;
  context.task.meta.leftOut = why;
  context.skip(`left out: ${why}`);
}
