/**
 * F8: hosts that give each other what they have pulled. Three homes on one machine, a registry behind a slow link, and
 * real commands: how much comes from the peer, what a peer costs that lies, stalls, drips or dies, and that without the
 * token no byte comes.
 *
 *     npm run acceptance f8 [ROUNDS] [MEBIBYTES] [MEBIBYTES PER SECOND OF THE REGISTRY'S LINK] [bytes]
 *
 * With `bytes`, times are told and judge nothing: for a machine that has other work.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { servingChannel } from '../../dist/peering/channel.js';
import { fleetKey } from '../../dist/peering/fleet-key.js';
import { start, tartlet } from './debian.mjs';
import { HOSTILE, startHostilePeer } from './f8/hostile-peer.mjs';
import { startSlowLink } from './f8/slow-link.mjs';

const MIB = 1024 * 1024;
const LAYER_MIB = 8;
const TOKEN = randomBytes(32).toString('hex');

/** What a bad peer may cost: a tenth of the time, and two seconds. */
const most = (ms) => ms * 1.1 + 2000;

/** @returns the exit code. */
export async function main([rounds = '5', mebibytes = '256', rate = '32', judged = 'times']) {
  const directory = mkdtempSync(`${tmpdir()}/tartlet-f8-`);
  const world = await build(directory, Number(mebibytes), Number(rate) * MIB);
  try {
    const alone = [];
    const shares = [];
    const costs = new Map();
    for (let round = 0; round < Number(rounds); round += 1) {
      alone.push((await pull(world, [])).ms);
      const honest = await withPeer(world, async (peer) => pull(world, [peer.address]));
      shares.push(honest.share);
      for (const name of HOSTILE) note(costs, name, await withHostile(world, name));
      note(costs, 'dies', await withPeer(world, async (peer) => pull(world, [peer.address], peer.dieInTheMiddle)));
      note(
        costs,
        'another token',
        await withPeer(world, async (peer) => pull(world, [peer.address], undefined, world.otherToken)),
      );
    }
    const limit = judged === 'bytes' ? Infinity : most(median(alone));
    return report({ rounds, mebibytes, rate, alone, shares, costs, limit });
  } finally {
    await world.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

function note(costs, name, pulled) {
  costs.set(name, [...(costs.get(name) ?? []), pulled]);
}

function report({ rounds, mebibytes, rate, alone, shares, costs, limit }) {
  const rows = [...costs].map(([name, pulls]) => {
    const ms = pulls.map((each) => each.ms);
    const isGood = median(ms) <= limit && pulls.every(({ fromPeers }) => name === 'dies' || fromPeers === 0);
    return { name, ms: median(ms), worst: Math.max(...ms), isGood };
  });
  const least = Math.min(...shares);
  const seconds = (ms) => (ms / 1000).toFixed(1);
  console.log(
    `| F8 | ${rounds} rounds, ${mebibytes} MiB, the registry behind ${rate} MiB/s: at least ${(least * 100).toFixed(1)} % of the bytes from the peer; ` +
      `alone ${seconds(median(alone))} s (at most ${seconds(Math.max(...alone))}), allowed ${seconds(limit)} s; ` +
      `${rows.map(({ name, ms, worst }) => `${name} ${seconds(ms)} (${seconds(worst)})`).join(', ')} (medians, worst in brackets); ` +
      `bytes without the token: ${costs.get('another token').reduce((sum, { fromPeers }) => sum + fromPeers, 0)} |`,
  );
  for (const { name, isGood } of rows) if (!isGood) console.error(`${name}: too slow, or bytes came from it`);
  return least >= 0.95 && rows.every(({ isGood }) => isGood) ? 0 : 1;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** A registry behind a slow link, with an image that one home has. */
async function build(directory, mebibytes, bytesPerSecond) {
  const token = `${directory}/token`;
  const otherToken = `${directory}/other-token`;
  writeFileSync(token, TOKEN, { mode: 0o600 });
  writeFileSync(otherToken, randomBytes(32).toString('hex'), { mode: 0o600 });
  const serving = start(directory, 'serve', '--data', `${directory}/registry`, '--listen', '127.0.0.1:0');
  const registry = await portOf(serving);
  const link = await startSlowLink(registry, bytesPerSecond);
  const giver = `${directory}/giver`;
  mkdirSync(giver);
  plantVm(`${giver}/vms/vm`, randomBytes(mebibytes * MIB));
  await tartlet(
    giver,
    'push',
    '--layer-size',
    String(LAYER_MIB),
    '--populate-cache',
    'vm',
    `127.0.0.1:${registry}/vm:1`,
  );
  const close = async () => {
    link.close();
    await end(serving);
  };
  return {
    directory,
    giver,
    link,
    token,
    otherToken,
    image: `127.0.0.1:${link.port}/vm:1`,
    disk: readFileSync(`${giver}/vms/vm/disk.img`),
    close,
  };
}

function plantVm(directory, disk) {
  mkdirSync(directory, { recursive: true });
  const config = {
    version: 1,
    os: 'linux',
    arch: 'arm64',
    cpuCountMin: 4,
    cpuCount: 4,
    memorySizeMin: 4294967296,
    memorySize: 4294967296,
    macAddress: '7e:12:34:56:78:9a',
    display: { width: 1024, height: 768 },
    diskFormat: 'raw',
  };
  writeFileSync(`${directory}/config.json`, JSON.stringify(config));
  writeFileSync(`${directory}/nvram.bin`, 'nvram');
  writeFileSync(`${directory}/disk.img`, disk);
}

/** Pulls into a home of its own, and compares every byte. */
async function pull({ directory, image, link, token, disk }, peers, meanwhile, otherToken = token) {
  const home = mkdtempSync(`${directory}/taker-`);
  const before = link.bytes;
  const began = performance.now();
  const options = peers.flatMap((peer) => ['--peer', peer]);
  const pulling = start(home, 'pull', '--format', 'json', ...options, '--fleet-token-file', otherToken, image);
  await meanwhile?.(link, before);
  const code = await pulling.ended;
  const ms = performance.now() - began;
  if (code !== 0) throw new Error(`pull: ${pulling.stderr}`);
  const { digest, peerBytes } = JSON.parse(pulling.stdout);
  const file = `${home}/cache/OCIs/127.0.0.1%3A${link.port}/vm/${digest}/disk.img`;
  if (!existsSync(file) || !readFileSync(file).equals(disk)) throw new Error('another disk than that of the image');
  rmSync(home, { recursive: true });
  const fromRegistry = link.bytes - before;
  return { ms, fromPeers: peerBytes, share: peerBytes / (peerBytes + fromRegistry) };
}

/** Works beside a real peer that has the image. */
async function withPeer({ giver, token }, work) {
  const peer = start(giver, 'peer', '--listen', '127.0.0.1:0', '--fleet-token-file', token);
  const port = await portOf(peer);
  /** As soon as a chunk has been given, it is killed. */
  const dieInTheMiddle = async () => {
    while (!/GET .* 200 /.test(peer.stderr)) await new Promise((resolve) => setTimeout(resolve, 2));
    peer.child.kill('SIGKILL');
  };
  try {
    return await work({ address: `127.0.0.1:${port}`, dieInTheMiddle });
  } finally {
    await end(peer);
  }
}

async function withHostile(world, name) {
  const peer = await startHostilePeer(name, servingChannel(fleetKey(TOKEN, 'f8')));
  try {
    return await pull(world, [peer.address]);
  } finally {
    peer.close();
  }
}

async function end(running) {
  running.child.kill('SIGTERM');
  await running.ended;
}

async function portOf(running) {
  for (;;) {
    const port = /:(\d+)/.exec(running.stdout)?.[1];
    if (port !== undefined) return Number(port);
    if (running.child.exitCode !== null) throw new Error(running.stderr);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
