import { expect } from 'vitest';
import { plantGuest } from './guest.ts';
import type { Cleanup } from './real-cleanup.ts';
import { type Running, Workplace } from './real-command.ts';
import type { Part } from './real-parts.ts';
import { startRealRegistry } from './real-registry.ts';
import type { TartInPath } from './tart-in-path.ts';

/** What it takes to drive a VM that runs. */
export const PARTS_OF_DRIVERS: readonly Part[] = ['qemu-system-x86_64', 'ovmf', 'mformat', 'depmod', 'ssh'];

/** Emulated, and on a busy machine, in milliseconds. */
export const LONG_MS = 400_000;

/** So often a driver asks for the address before it gives up. */
const ASKS = 5;

/** Publishes the little guest. @returns the name of the image, in a registry that runs until the cleanup. */
export async function publishGuest(cleanup: Cleanup): Promise<string> {
  const { port } = await startRealRegistry(cleanup, 'embedded');
  const publisher = new Workplace(cleanup);
  plantGuest(publisher.vmDirectory('guest'));
  const image = `127.0.0.1:${port}/team/guest:latest`;
  expect(await publisher.run('push', 'guest', image)).toMatchObject({ exitCode: 0 });
  return image;
}

/** Lets a run that a test leaves behind end with the test. */
export function endAfterwards(cleanup: Cleanup, running: Running): Running {
  cleanup.add(async () => {
    running.kill('SIGKILL');
    await running.ended.catch(() => undefined);
  });
  return running;
}

/**
 * Asks for the address, as drivers do again and again. What it answers is taken as they take it: stdout and stderr
 * together, trimmed, nothing else looked at (tart-cli §5.2).
 */
export async function addressBy(user: TartInPath, name: 'tart' | 'vetu', ...words: readonly string[]): Promise<string> {
  let answer = '';
  for (let asked = 0; asked < ASKS; asked += 1) {
    const { exitCode, stdout, stderr } = await user.call(name, 'ip', ...words);
    answer = `${stdout}${stderr}`.trim();
    if (exitCode === 0) break;
  }
  expect(answer).toMatch(/^127\.\d+\.\d+\.\d+$/);
  return answer;
}
