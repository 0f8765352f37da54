import { writeFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { plantVm } from '../support/home.ts';
import { HonestRegistry } from '../support/honest-registry.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, type Ran, Running, Workplace } from '../support/real-command.ts';

/*
 * The real command, with one promise that is never settled planted into it: when nothing is left to do, Node ends the
 * process, and would call that a success.
 */

function workplace(): Workplace {
  const cleanup = new Cleanup();
  onTestFinished(async () => cleanup.run());
  return new Workplace(cleanup);
}

/** Runs a command in which `plant` was executed before it began, in its worker threads too. */
async function runWith(place: Workplace, plant: string, ...args: readonly string[]): Promise<Ran> {
  const file = `${place.directory}/plant.cjs`;
  writeFileSync(file, plant);
  return new Running(process.execPath, ['--require', file, COMMAND, ...args], place.environment).ended;
}

const NEVER = 'new Promise(() => undefined)';

const KEPT = 'kept: whatever was stored before is there; whether all of it is there is not known';
const NEXT = 'next: this is a defect of Tartlet: report it with the output that TARTLET_DEBUG=1 gives';

it('a command with nothing left to do that has not ended exits with 70, and says what it was', async () => {
  const place = workplace();
  plantVm(place.vmDirectory('mine'));
  const plant = `
    const files = require('node:fs/promises');
    for (const name of ['rename', 'rm', 'open', 'stat', 'lstat', 'readdir']) files[name] = () => ${NEVER};`;
  const said = `error[INTERNAL]: "delete" stopped in its middle: nothing is left that could finish it.\n${KEPT}\n${NEXT}\n`;
  expect(await runWith(place, plant, 'delete', 'mine')).toEqual({ exitCode: 70, stdout: '', stderr: said });
});

/** Every body that is discarded is discarded for ever. */
const DISCARDED_FOR_EVER = `require('node:timers/promises').setImmediate = () => ${NEVER};`;

it('a push that waits for ever does not end as one that has stored everything, and names what it asked for', async () => {
  const place = workplace();
  plantVm(place.vmDirectory('mine'));
  const registry = await HonestRegistry.start();
  onTestFinished(async () => registry.server.close());
  const { authority } = registry.server;
  const ran = await runWith(place, DISCARDED_FOR_EVER, 'push', '--insecure', 'mine', `${authority}/a/b:1`);
  expect(ran.exitCode).toBe(70);
  expect(ran.stderr.replace(/sha256:[0-9a-f]{64}/, 'DIGEST')).toBe(
    `error[INTERNAL]: "push" stopped in its middle: nothing is left that could finish it; the last it asked for was HEAD http://${authority}/v2/a/b/blobs/DIGEST.\n${KEPT}\n${NEXT}\n`,
  );
  expect(registry.manifests.size).toBe(0);
});

it('nor does one that waits for a thread that waits for ever', async () => {
  const place = workplace();
  plantVm(place.vmDirectory('mine'));
  const registry = await HonestRegistry.start();
  onTestFinished(async () => registry.server.close());
  const plant = `if (!require('node:worker_threads').isMainThread) ${DISCARDED_FOR_EVER}`;
  const ran = await runWith(place, plant, 'push', '--insecure', 'mine', `${registry.server.authority}/a/b:1`);
  expect(ran.exitCode).toBe(1);
  expect(ran.stderr).toContain(
    'error[INTERNAL]: a push job stopped in its middle: nothing is left that could finish it.\n',
  );
  expect(registry.manifests.size).toBe(0);
});
