/**
 * R5: VMs that are deleted and cloned again under the same name, on a bridge with dnsmasq: `ip` never tells the address
 * of the one before. Every other one has the network card of the one before, whose address another card has meanwhile;
 * the rest have a card of their own. For root, in a network namespace: nothing of this machine is changed.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const root = path.resolve(import.meta.dirname, '../..');
const LEASES = '/var/lib/tartlet/network.leases';
const SERVICE = '/usr/local/libexec/tartlet-network';
/** Who has the address of a VM that was deleted. */
const OTHER_CARD = '02:00:00:00:00:99';

const PRELUDE = `set -eu
mount --make-rprivate /
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs "$1"
for directory in etc var/lib usr/local usr/lib/qemu; do
  mkdir -p "$1/$directory/upper" "$1/$directory/work"
  mount -t overlay overlay -o "lowerdir=/$directory,upperdir=$1/$directory/upper,workdir=$1/$directory/work" "/$directory"
done
mount -t tmpfs tmpfs /run
ip link set lo up
shift
exec "$@"
`;

/** @returns the exit code. */
export async function main([rounds = '20', inside]) {
  if (inside !== undefined) return inNetwork(Number(rounds), inside);
  const work = mkdtempSync(path.join(tmpdir(), 'tartlet-r5-'));
  try {
    mkdirSync(`${work}/own`);
    writeFileSync(`${work}/prelude`, PRELUDE);
    execFileSync(process.execPath, [`${root}/scripts/guest.mjs`, `${work}/vms/base`]);
    const namespaces = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const again = [process.execPath, `${root}/scripts/acceptance.mjs`, 'r5', rounds, work];
    const child = spawn('unshare', [...namespaces, 'sh', `${work}/prelude`, `${work}/own`, ...again], {
      stdio: 'inherit',
    });
    return await new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function inNetwork(rounds, home) {
  const env = { ...process.env, TART_HOME: home };
  const start = (...words) => {
    const child = spawn(process.execPath, [`${root}/bin/tartlet`, ...words], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const told = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) child[name].on('data', (piece) => (told[name] += piece));
    return new Promise((resolve) => child.once('close', (exitCode) => resolve({ exitCode, ...told })));
  };
  await start('network', 'setup');
  await startNetwork(start);
  const config = `${home}/vms/ci/config.json`;
  const count = { good: 0, early: 0, moved: 0 };
  let before;
  for (let round = 1; round <= rounds; round += 1) {
    await start('clone', 'base', 'ci');
    const own = JSON.parse(readFileSync(config, 'utf8'));
    const hasOldCard = before !== undefined && round % 2 === 0;
    const mac = hasOldCard ? before.mac : `02:00:00:00:01:${round.toString(16).padStart(2, '0')}`;
    writeFileSync(config, JSON.stringify({ ...own, macAddress: mac }));
    if (hasOldCard) await giveAway(start, before.mac);
    const waiting = start('ip', 'ci', '--wait', '600');
    const run = start('run', 'ci');
    const early = [];
    const asking = { isOver: false };
    void waiting.then(() => (asking.isOver = true));
    while (!asking.isOver) early.push(await start('ip', 'ci'));
    const { stdout, stderr, exitCode } = await waiting;
    const address = stdout.trim();
    const inGuest = await start(
      'exec',
      'ci',
      'sh',
      '-c',
      "ifconfig eth0 | sed -n 's/.*inet addr:\\([0-9.]*\\).*/\\1/p'",
    );
    const wrong = early.filter((each) => each.stdout !== '' && each.stdout !== inGuest.stdout);
    const isGood = exitCode === 0 && stderr === '' && stdout === inGuest.stdout && wrong.length === 0;
    count.good += isGood ? 1 : 0;
    count.early += early.filter((each) => each.stdout === '').length;
    count.moved += before !== undefined && address !== before.address ? 1 : 0;
    console.error(
      `${round}: ${isGood ? 'good' : 'NOT GOOD'}, ${mac} at ${address}, asked ${early.length} times before`,
    );
    await start('stop', 'ci', '--timeout', '1');
    await run;
    await start('delete', 'ci');
    before = { mac, address };
  }
  console.log(
    `| R5 | deleted and cloned again under one name on a bridge: ip told the guest's own address ${count.good}/${rounds} ` +
      `(${count.moved} of them another than before; asked ${count.early} times while the guest started: nothing told) |`,
  );
  return count.good === rounds ? 0 : 1;
}

async function startNetwork(start) {
  spawn(SERVICE, ['run'], { stdio: 'ignore', detached: true }).unref();
  while ((await start('network', 'status')).exitCode !== 0) await delay(50);
}

/** Another card gets the address of a VM that was deleted. */
async function giveAway(start, mac) {
  execFileSync(SERVICE, ['stop']);
  writeFileSync(LEASES, readFileSync(LEASES, 'utf8').replace(mac, OTHER_CARD));
  await startNetwork(start);
}
