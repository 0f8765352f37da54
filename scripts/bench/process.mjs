/** Running programs and being told what they cost. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '../..');
export const tartlet = [process.execPath, path.join(root, 'bin/tartlet')];

/** Node reads these certificates at every start, which would count against everything that is written for Node. */
const { NODE_EXTRA_CA_CERTS: _, ...environmentOfOurs } = process.env;

/**
 * Runs a command to its end: wall and processor seconds and the peak memory of it and its children, by the system's own
 * account.
 * @param {string} work a directory for the account, and the home of the user.
 */
export function timed(work, command, environment = {}) {
  const account = path.join(work, 'time');
  const started = performance.now();
  const done = spawnSync('/usr/bin/time', ['-o', account, '-f', '%U %S %M', ...command], {
    env: { ...environmentOfOurs, HOME: path.join(work, 'user'), ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  const seconds = (performance.now() - started) / 1000;
  if (done.error !== undefined) throw new Error('bench needs /usr/bin/time (Debian: apt-get install time)');
  if (done.status !== 0) throw new Error(`${command.join(' ')} failed:\n${done.stderr}`);
  const [user, system, kilobytes] = readFileSync(account, 'utf8').trim().split('\n').at(-1).split(' ').map(Number);
  return { seconds, cpuSeconds: user + system, peakBytes: kilobytes * 1024 };
}

/** One after the other, as one result. */
export function together(...results) {
  const sum = (name) => results.reduce((total, result) => total + result[name], 0);
  return {
    seconds: sum('seconds'),
    cpuSeconds: sum('cpuSeconds'),
    peakBytes: Math.max(...results.map((result) => result.peakBytes)),
  };
}

/** What a script of this directory prints, as JSON. */
export function report(script, ...parameters) {
  const command = [path.join(import.meta.dirname, script), ...parameters.map(String)];
  const done = spawnSync(process.execPath, command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (done.status !== 0) throw new Error(`${script} failed`);
  return JSON.parse(done.stdout);
}

/** The first line that a program says about itself; undefined when it is not there. */
export function versionOf(program) {
  const { status, stdout, stderr } = spawnSync(program, [program === 'openssl' ? 'version' : '--version'], {
    encoding: 'utf8',
  });
  return status === 0 ? (stdout || stderr).trim().split('\n')[0] : undefined;
}

/** Runs `use` with the address of an empty registry of ours, whose data lies in `work`. */
export async function withRegistry(work, use) {
  const directory = mkdtempSync(path.join(work, 'registry-'));
  const child = spawn(tartlet[0], [tartlet[1], 'serve', '--listen', '127.0.0.1:0', '--data', directory], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [url] = await once(child.stdout, 'data');
    return await use(`127.0.0.1:${new URL(String(url).trim()).port}`);
  } finally {
    child.kill();
    await once(child, 'exit');
    rmSync(directory, { recursive: true, force: true });
  }
}
