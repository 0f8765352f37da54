import { parentPort } from 'node:worker_threads';
import { compareSync } from 'bcryptjs';
import type { PasswordQuestion } from './password-checks.ts';

/*
 * The thread that compares passwords: bcrypt is slow on purpose, and nothing else may wait for it (issue 14, item 5).
 */

parentPort?.on('message', ({ password, hash }: PasswordQuestion) => {
  parentPort?.postMessage(compareSync(password, hash));
});
