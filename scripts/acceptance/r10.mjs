/**
 * R10: commands in guests, by each way that there is to an agent:
 *
 * 1. programs that drive Tart, as a client of Go's gRPC library, at `control.sock` of a real guest that has QEMU's
 *   agent;
 * 2. `exec` there; 3. `exec` by QEMU's agent directly; 4. `exec` by Tart's agent, which a server of Go's gRPC library
 *   plays.
 *
 * Needs QEMU, OVMF, Go, and `script` of util-linux. Go fetches its modules as it is configured to.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const scripts = path.resolve(import.meta.dirname, '..');
const command = path.resolve(scripts, '../bin/tartlet');
const work = mkdtempSync(path.join(tmpdir(), 'tartlet-exec-'));
const vm = path.join(work, 'home/vms/ci');
const socket = path.join(vm, 'control.sock');
const env = { ...process.env, TART_HOME: path.join(work, 'home'), TARTLET: `${process.execPath} ${command}` };
const ours = [];

/** @param every which of the exit codes are tried: 1 for all, 2 for each second. @returns the exit code. */
export async function main([every = '1']) {
  try {
    await prove(Number(every));
    return 0;
  } finally {
    for (const child of ours) child.kill('SIGKILL');
    rmSync(work, { recursive: true, force: true });
  }
}

async function prove(every) {
  mkdirSync(path.dirname(vm), { recursive: true });
  execFileSync(process.execPath, [path.join(scripts, 'guest.mjs'), vm, 'amd64'], { stdio: 'ignore' });
  const agent = path.join(work, 'agent');
  execFileSync('go', ['build', '-o', agent, '.'], { cwd: path.join(scripts, 'acceptance/agent'), stdio: 'inherit' });
  const run = start(process.execPath, [command, 'run', '--no-graphics', 'ci']);
  const address = tartlet(['ip', '--wait', '300', 'ci']).stdout.toString().trim();

  const called = execFileSync(agent, ['call', socket], { encoding: 'utf8' });
  equal(
    called.replace(/ [0-9a-f]{8}$/m, ''),
    `address ${address}\ncodes 256\nbytes true\nterminal FailedPrecondition\nunheard Unimplemented\n`,
  );
  const served = provePlain('control.sock', every);
  equal(tartlet(['ip', '--resolver', 'agent', 'ci']).stdout.toString(), `${address}\n`);
  renameSync(socket, path.join(work, 'away'));
  const direct = provePlain("QEMU's agent", every);

  const go = start(agent, ['serve', socket, '10.0.2.15'], ['ignore', 'pipe', 'inherit']);
  await once(go.stdout, 'data');
  const played = provePlain("Go's agent", every);
  equal(tartlet(['ip', '--resolver', 'agent', 'ci']).stdout.toString(), `${address}\n`);
  proveTerminal();
  await proveStreams(go);

  renameSync(path.join(work, 'away'), socket);
  tartlet(['exec', 'ci', 'sh', '-c', 'kill $(pidof qemu-ga)']);
  const waits = Array.from({ length: 10 }, missingAgent);
  tartlet(['stop', 'ci', '--timeout', '60']);
  await once(run, 'exit');
  const slowest = (Math.max(...waits) / 1000).toFixed(1);
  console.log(
    `| R10 | ${served + direct + played} exit codes of ${3 * Math.ceil(256 / every)}, and 256 by Go's client; bytes exact both ways by all four ways; ` +
      `terminal, sizes, streams and death of the agent with Go's gRPC server; no agent: told after ${slowest} s at most, 10/10 |`,
  );
}

/** What every agent can. @returns how many exit codes came as they were. */
function provePlain(way, every) {
  let right = 0;
  for (let code = 0; code < 256; code += every) {
    const ran = tartlet(['exec', 'ci', 'sh', '-c', `exit ${code}`]);
    if (ran.status === code && ran.stderr.length === 0) right += 1;
    else console.error(`${way}: ${code} became ${ran.status}: ${ran.stderr}`);
  }
  const input = randomBytes(1_000_003);
  const echoed = tartlet(['exec', '-i', 'ci', 'cat'], input);
  equal([echoed.status, digest(echoed.stdout), echoed.stderr.toString()], [0, digest(input), '']);
  const turned = tartlet(['exec', '-i', 'ci', 'sh', '-c', 'cat >&2'], input);
  equal([turned.status, turned.stdout.toString(), digest(turned.stderr)], [0, '', digest(input)]);
  const words = ['a b', '', '--help', '$HOME', 'ä\n'];
  equal(
    tartlet(['exec', 'ci', 'printf', '[%s]', ...words]).stdout.toString(),
    words.map((word) => `[${word}]`).join(''),
  );
  equal(tartlet(['exec', 'ci', '/no/such/program']).status, 1);
  console.error(`${way}: ${right} exit codes, bytes, words`);
  return right;
}

/**
 * On a terminal of util-linux: its size, a new one, Ctrl-C for the guest, the exit code, and the terminal as it was.
 */
function proveTerminal() {
  const inGuest = 'stty size; trap "stty size; exit 42" WINCH; tty; while :; do sleep 0.1; done';
  const script = `stty rows 31 cols 117; (sleep 2; stty -F /dev/tty cols 90) & exec 3<&0; $TARTLET exec -it ci sh -c '${inGuest}'; echo "code $?"; stty -a | grep -o ' icanon'`;
  const ran = spawnSync('script', ['--quiet', '--return', '--flush', '--command', script, '/dev/null'], {
    env: { ...env, SHELL: '/bin/sh' },
    encoding: 'utf8',
    timeout: 60_000,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  // `script` types an end of file of its own, since its input is empty.
  const shown = ran.stdout.replaceAll(/[\0\r]/g, '');
  matches(shown, /31 117\n\/dev\/pts\/\d+\n31 90\ncode 42\n icanon\n/);
}

/** Output that comes while the command runs, a long one, and one that breaks off. */
async function proveStreams(go) {
  const slow = start(
    process.execPath,
    [command, 'exec', '-i', 'ci', 'sh', '-c', 'echo one; read x; echo "two $x"'],
    ['pipe', 'pipe', 'inherit'],
  );
  equal(String((await once(slow.stdout, 'data'))[0]), 'one\n');
  slow.stdin.write('typed\n');
  equal(String((await once(slow.stdout, 'data'))[0]), 'two typed\n');
  slow.stdin.destroy();
  const { stdout } = spawnSync('sh', ['-c', '$TARTLET exec ci head -c 268435456 /dev/zero | sha256sum'], {
    env,
    encoding: 'utf8',
  });
  equal(stdout, 'a6d72ac7690f53be6ae46ba88506bd97302a093f7108472bd9efc3cefda06484  -\n');
  const cut = start(
    process.execPath,
    [command, 'exec', 'ci', 'sh', '-c', 'echo begun; sleep 100'],
    ['ignore', 'pipe', 'pipe'],
  );
  let told = '';
  cut.stderr.on('data', (text) => (told += text));
  await once(cut.stdout, 'data');
  go.kill('SIGKILL');
  equal((await once(cut, 'close'))[0], 1);
  matches(told, /the guest's agent ended before the command did/);
  rmSync(socket, { force: true });
}

/** @returns how long it took, in milliseconds. */
function missingAgent() {
  const began = performance.now();
  const ran = tartlet(['exec', 'ci', 'true']);
  const took = performance.now() - began;
  equal(ran.status, 1);
  matches(ran.stderr.toString(), /tart-guest-agent or qemu-guest-agent/);
  return took;
}

function start(program, args, stdio = 'ignore') {
  const child = spawn(program, args, { env, stdio });
  ours.push(child);
  return child;
}

function tartlet(args, input = '') {
  return spawnSync(process.execPath, [command, ...args], { env, input, maxBuffer: 64 * 1024 * 1024 });
}

function digest(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

function equal(found, expected) {
  const [one, other] = [JSON.stringify(found), JSON.stringify(expected)];
  if (one !== other) throw new Error(`${one} instead of ${other}`);
}

function matches(text, pattern) {
  if (!pattern.test(text)) throw new Error(`${JSON.stringify(text)} is not like ${pattern}`);
}
