import { execFile } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { RemoteName } from '../../src/names/remote-name.ts';
import { pushVm } from '../../src/vm/push.ts';
import { freshSession, plantVm } from '../support/home.ts';
import { leaveOut } from '../support/left-out.ts';
import { startMeddlingRegistry } from '../support/meddling-registry.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, Workplace } from '../support/real-command.ts';

const GROUP = 4711;
const [ANN, BEN] = [5001, 5002];

const cleanup = new Cleanup();
afterEach(async () => cleanup.run());

/** Runs the command as a user of the group, whose umask keeps everything from everybody. */
async function runAs(workplace: Workplace, uid: number, ...args: readonly string[]): Promise<string> {
  const privileges = [`--reuid=${uid}`, `--regid=${uid}`, `--groups=${GROUP}`];
  const command = ['sh', '-c', 'umask 077; exec "$@"', 'sh', process.execPath, COMMAND, ...args];
  return new Promise((resolve) => {
    execFile('setpriv', [...privileges, ...command], { env: workplace.environment, cwd: '/' }, (error, _, stderr) =>
      resolve(error === null ? 'done' : stderr),
    );
  });
}

it('in a home that a group shares, what one user made another one can use, change and delete (S69)', async (context) => {
  leaveOut(context, process.geteuid?.() !== 0 || process.platform !== 'linux', 'only root of Linux can be other users');
  const registry = await startMeddlingRegistry();
  const name = RemoteName.parse(`${registry.at}/org/vm:latest`);
  const maker = freshSession();
  plantVm(`${maker.home.vmsDirectory}/ci`, 'a disk');
  await pushVm(maker, 'ci', [name]);
  const workplace = new Workplace(cleanup, { isFresh: true });
  chmodSync(workplace.directory, 0o755);
  const annsDirectory = `${workplace.directory}/run`;
  chownSync(annsDirectory, ANN, ANN);
  mkdirSync(workplace.home);
  chownSync(workplace.home, 0, GROUP);
  chmodSync(workplace.home, 0o2775);

  const steps: readonly (readonly [number, ...string[]])[] = [
    [ANN, 'pull', name.toString()],
    [ANN, 'clone', name.toString(), 'first'],
    [BEN, 'pull', name.toString()],
    [BEN, 'clone', name.toString(), 'second'],
    [BEN, 'set', 'first', '--cpu', '3'],
    [ANN, 'rename', 'second', 'third'],
    [ANN, 'export', 'third', `${annsDirectory}/third.tar`],
    [BEN, 'doctor'],
  ];
  for (const [uid, ...args] of steps)
    expect([...args, await runAs(workplace, uid, ...args)]).toEqual([...args, 'done']);

  for (const entry of readdirSync(workplace.home, { recursive: true, withFileTypes: true })) {
    const stats = statSync(`${entry.parentPath}/${entry.name}`);
    expect([entry.name, stats.gid]).toEqual([entry.name, GROUP]);
  }
  // What is written elsewhere is as the umask of its user says.
  expect(statSync(`${annsDirectory}/third.tar`).mode & 0o777).toBe(0o600);

  for (const args of [
    ['delete', 'first'],
    ['delete', 'third'],
    ['delete', name.toString()],
  ])
    expect([...args, await runAs(workplace, BEN, ...args)]).toEqual([...args, 'done']);
});
