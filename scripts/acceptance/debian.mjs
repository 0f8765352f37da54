/** The whole Debian of the acceptance (scripts/debian-guest.mjs), and the command that runs it. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../..');
const COMMAND = path.join(ROOT, 'bin/tartlet');
const SCRIPT = path.join(ROOT, 'scripts/debian-guest.mjs');

/** Built once for each version of the script. @returns a directory that is not to be changed. */
export function builtDebian() {
  const hash = createHash('sha256').update(readFileSync(SCRIPT)).digest('hex').slice(0, 16);
  const directory = path.join(tmpdir(), `tartlet-debian-${hash}`);
  if (existsSync(directory)) return directory;
  const making = `${directory}.${process.pid}`;
  execFileSync(process.execPath, [SCRIPT, making], { stdio: ['ignore', 'inherit', 'inherit'] });
  renameSync(making, directory);
  return directory;
}

/** A copy of it as a VM of a home. */
export function plantDebian(home, name) {
  mkdirSync(`${home}/vms`, { recursive: true });
  execFileSync('cp', ['-r', '--sparse=always', '--reflink=auto', builtDebian(), `${home}/vms/${name}`]);
  return `${home}/vms/${name}`;
}

/** A command that was started. `ended` resolves with its exit code; what it wrote is in `stdout` and `stderr`. */
export function start(home, ...args) {
  return startWith({}, home, ...args);
}

/** The same with further variables. */
export function startWith(variables, home, ...args) {
  const child = spawn(process.execPath, [COMMAND, ...args], {
    env: { PATH: process.env.PATH, HOME: home, TART_HOME: home, NO_COLOR: '1', ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const running = { child, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (running.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (running.stderr += text));
  running.ended = new Promise((resolve) => child.once('close', resolve));
  return running;
}

/** Runs a command to its end. @returns its standard output. @throws when it fails */
export async function tartlet(home, ...args) {
  const running = start(home, ...args);
  const code = await running.ended;
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${running.stderr}`);
  return running.stdout.trim();
}

/** Whether the file system of the guest is clean, by e2fsck, which changes nothing. */
export function isClean(disk) {
  const { partitiontable } = JSON.parse(execFileSync('sfdisk', ['--json', disk], { encoding: 'utf8' }));
  const offset = partitiontable.partitions[1].start * partitiontable.sectorsize;
  try {
    execFileSync('e2fsck', ['-n', '-f', `${disk}?offset=${offset}`], { stdio: 'pipe' });
    return true;
  } catch (error) {
    console.error(String(error.stdout));
    return false;
  }
}
