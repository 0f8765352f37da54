/**
 * Pull and push beside a peer that moves the very same blobs, in turn, in one run: `npm run bench [-- --size GB --runs N]`.
 * Prints medians and ratios; absolute numbers say more about the machine than about the programs. Our pull verifies, decodes and
 * writes a ready disk; `skopeo copy docker:// dir:` only stores the blobs.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.resolve(import.meta.dirname, '..');
const tartlet = [process.execPath, path.join(root, 'bin/tartlet')];
const PIECE = 64 * 1024;
const MIB = 1024 * 1024;

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '2' },
    runs: { type: 'string', default: '5' },
    folder: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
});
const diskBytes = Math.round(Number(values.size) * 1024 * MIB);
const runs = Number(values.runs);

if (spawnSync('skopeo', ['--version']).status !== 0) {
  console.error('bench needs skopeo to compare with (Debian: apt-get install skopeo)');
  process.exit(1);
}

const work = mkdtempSync(path.join(values.folder, 'tartlet-bench-'));
try {
  await withRegistry(bench);
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function bench(at) {
  const rows = [];
  makeVm(`${work}/home/vms/bench`);
  await timed([...tartlet, 'push', 'bench', `${at}/bench/vm:1`], { TART_HOME: `${work}/home` });
  await timed(['skopeo', 'copy', '--src-tls-verify=false', `docker://${at}/bench/vm:1`, `dir:${work}/dir`]);
  rows.push(
    await compare('pull', {
      tartlet: () => fresh('pulled', [...tartlet, 'pull', `${at}/bench/vm:1`], { TART_HOME: `${work}/pulled` }),
      'skopeo copy docker:// dir:': () =>
        fresh('copied', [
          'skopeo',
          'copy',
          '--src-tls-verify=false',
          `docker://${at}/bench/vm:1`,
          `dir:${work}/copied`,
        ]),
    }),
  );
  // Each push gets a registry of its own: in a shared one the second push would find the blobs of the first and mount them.
  const target = (fill) => withRegistry(async (empty) => fill(`${empty}/bench/vm:1`));
  rows.push(
    await compare('push', {
      tartlet: () => target((name) => timed([...tartlet, 'push', 'bench', name], { TART_HOME: `${work}/home` })),
      'skopeo copy dir: docker://': () =>
        target((name) => timed(['skopeo', 'copy', '--dest-tls-verify=false', `dir:${work}/dir`, `docker://${name}`])),
    }),
  );
  await manyImages(`${work}/many`, 1000);
  const many = { TART_HOME: `${work}/many` };
  rows.push(
    await compare('list of 1,000 images', {
      tartlet: () => timed([...tartlet, 'list'], many),
      'node -e 0': () => timed([process.execPath, '-e', '0']),
    }),
  );
  rows.push(
    await compare('--version', {
      tartlet: () => timed([...tartlet, '--version']),
      'node -e 0': () => timed([process.execPath, '-e', '0']),
    }),
  );
  report(rows);
}

/** Runs the contestants in turn, so that a slow moment of the machine hits all of them. */
async function compare(what, contestants) {
  const results = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
  for (let run = 0; run <= runs; run += 1) {
    for (const [name, contestant] of Object.entries(contestants)) {
      const result = await contestant();
      if (run > 0) results[name].push(result); // The first round only warms up.
    }
  }
  const [[ours, mine], [peer, theirs]] = Object.entries(results);
  return {
    what,
    ours,
    peer,
    seconds: median(mine.map((result) => result.seconds)),
    peerSeconds: median(theirs.map((result) => result.seconds)),
    ratio: median(mine.map((result, index) => result.seconds / theirs[index].seconds)),
    cpuSeconds: median(mine.map((result) => result.cpuSeconds)),
    peerCpuSeconds: median(theirs.map((result) => result.cpuSeconds)),
    peakBytes: Math.max(...mine.map((result) => result.peakBytes)),
    peerPeakBytes: Math.max(...theirs.map((result) => result.peakBytes)),
  };
}

async function fresh(name, command, environment) {
  rmSync(`${work}/${name}`, { recursive: true, force: true });
  return timed(command, environment);
}

/** Wall and processor seconds and the peak memory of one process and its children, by the system's own account. */
async function timed(command, environment = {}) {
  const account = `${work}/time`;
  const measured = spawnSync('/usr/bin/time', ['-o', account, '-f', '%e %U %S %M', ...command], {
    env: { ...process.env, HOME: `${work}/user`, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (measured.error !== undefined) throw new Error('bench needs /usr/bin/time (Debian: apt-get install time)');
  if (measured.status !== 0) throw new Error(`${command.join(' ')} failed:\n${measured.stderr}`);
  const [seconds, user, system, kilobytes] = readFileSync(account, 'utf8')
    .trim()
    .split('\n')
    .at(-1)
    .split(' ')
    .map(Number);
  return { seconds: Math.max(seconds, 0.01), cpuSeconds: user + system, peakBytes: kilobytes * 1024 };
}

/** A disk as systems leave it: a quarter zeros, the rest text that compresses and noise that does not. */
function makeVm(folder) {
  mkdirSync(folder, { recursive: true });
  const config = {
    version: 1,
    os: 'linux',
    arch: 'arm64',
    cpuCountMin: 4,
    cpuCount: 4,
    memorySizeMin: 2 ** 32,
    memorySize: 2 ** 32,
    macAddress: '7e:12:34:56:78:9a',
    diskFormat: 'raw',
  };
  for (const [name, content] of [
    ['config.json', JSON.stringify(config)],
    ['nvram.bin', Buffer.alloc(131_072)],
  ]) {
    const fd = openSync(`${folder}/${name}`, 'w');
    writeSync(fd, content);
    closeSync(fd);
  }
  const fd = openSync(`${folder}/disk.img`, 'w');
  const noise = Buffer.concat(
    Array.from({ length: PIECE / 64 }, (_, at) => createHash('sha512').update(String(at)).digest()),
  );
  const piece = Buffer.alloc(PIECE);
  for (let at = 0, count = 0; at < diskBytes; at += PIECE, count += 1) {
    if (count % 4 === 0) continue;
    piece.fill(`piece ${count} of a disk that compresses as text does, `);
    // Half of each piece is noise of its own, so that no two pieces are alike and the whole shrinks to about half.
    noise.copy(piece, 0, count % 32768);
    piece.writeUInt32LE(count, 0);
    if (count % 4 === 3) noise.copy(piece, PIECE / 2, 0, PIECE / 2);
    writeSync(fd, piece, 0, PIECE, at);
  }
  closeSync(fd);
  spawnSync('truncate', ['-s', String(diskBytes), `${folder}/disk.img`]);
}

/** A thousand pulled images, by their folders: what `list` has to look at. */
async function manyImages(home, count) {
  const { symlinkSync, writeFileSync } = await import('node:fs');
  for (let index = 0; index < count; index += 1) {
    const digest = `sha256:${createHash('sha256').update(String(index)).digest('hex')}`;
    const repository = `${home}/cache/OCIs/registry.example%3A8221/org/image${index}`;
    const folder = `${repository}/${digest}`;
    mkdirSync(folder, { recursive: true });
    for (const file of ['config.json', 'nvram.bin', 'disk.img', 'manifest.json'])
      writeFileSync(`${folder}/${file}`, '');
    symlinkSync(folder, `${repository}/latest`);
  }
}

/** Runs `work` with the address of an empty registry of ours. */
async function withRegistry(use) {
  const folder = mkdtempSync(path.join(work, 'registry-'));
  const child = spawn(tartlet[0], [tartlet[1], 'serve', '--listen', '127.0.0.1:0', '--data', folder], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [url] = await once(child.stdout, 'data');
    return await use(`127.0.0.1:${new URL(String(url).trim()).port}`);
  } finally {
    child.kill();
    await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  }
}

function report(rows) {
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 1e9)} GB, Node ${process.version}`;
  const peer = spawnSync('skopeo', ['--version'], { encoding: 'utf8' }).stdout.trim();
  if (values.json) {
    console.log(JSON.stringify({ machine, peer, diskBytes, runs, rows }, null, 2));
    return;
  }
  console.log(
    `${machine}; ${peer}\ndisk of ${values.size} GiB in ${values.folder}, medians of ${runs}, registry: ours, on the same machine\n`,
  );
  console.log(
    '| what | ours | peer | ratio | CPU ours / peer | memory ours / peer |\n| --- | --- | --- | --- | --- | --- |',
  );
  for (const row of rows) {
    const cells = [
      row.what,
      `${row.seconds.toFixed(2)} s`,
      `${row.peerSeconds.toFixed(2)} s (${row.peer})`,
      row.ratio.toFixed(2),
      `${row.cpuSeconds.toFixed(2)} / ${row.peerCpuSeconds.toFixed(2)} s`,
      `${Math.round(row.peakBytes / 1e6)} / ${Math.round(row.peerPeakBytes / 1e6)} MB`,
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
