/**
 * How fast we are beside programs that everybody knows, and beside what the machine could do at most: `npm run bench`.
 * Everybody runs in turn, in one run, and ratios count: absolute numbers say more about the machine. See
 * docs/maintainers/performance.md, whose table `-- --write` replaces.
 *
 * npm run bench -- [--quick] [--size GiB] [--runs N] [--only pull,push,delta,kernel,memory,start] [--directory F]
 * [--json] [--write]
 *
 * `--quick` takes less than five minutes: a disk of 1 GiB, three rounds, on the disk only, and what its measures need
 * little time for.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { deltaRows } from './bench/delta.mjs';
import { MIB } from './bench/disk.mjs';
import { kernelRows } from './bench/kernel.mjs';
import { memoryRows } from './bench/memory.mjs';
import { root, versionOf } from './bench/process.mjs';
import { pullRows } from './bench/pull.mjs';
import { pushRows } from './bench/push.mjs';
import { startRows } from './bench/start.mjs';
import { table } from './bench/table.mjs';

/** In the order of the table. Each gives rows, and leaves nothing behind. */
const MEASURES = {
  pull: pullRows,
  kernel: kernelRows,
  push: pushRows,
  delta: deltaRows,
  memory: memoryRows,
  start: startRows,
};

/** Programs that measures need, and the Debian packages they come from. */
const NEEDED = { skopeo: 'skopeo', lz4: 'lz4', curl: 'curl', openssl: 'openssl' };

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    size: { type: 'string' },
    runs: { type: 'string' },
    only: { type: 'string', default: Object.keys(MEASURES).join(',') },
    directory: { type: 'string' },
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});

const missing = Object.keys(NEEDED).filter((program) => versionOf(program) === undefined);
if (missing.length > 0) {
  console.error(
    `bench compares with ${missing.join(', ')}: apt-get install ${missing.map((name) => NEEDED[name]).join(' ')}`,
  );
  process.exit(1);
}

const { quick } = values;
const runs = Number(values.runs ?? (quick ? 3 : 5));
const size = values.size ?? (quick ? '1' : '2');
const diskBytes = Math.round(Number(size) * 1024) * MIB;
const wanted = Object.entries(MEASURES).filter(([name]) => values.only.split(',').includes(name));

/** On a disk, and in memory where the machine has a file system for that. */
const everywhere = quick ? [tmpdir()] : [tmpdir(), '/dev/shm'].filter((each) => existsSync(each));
const places = values.directory === undefined ? everywhere : [values.directory];
const results = [];
for (const place of places) {
  const rows = [];
  for (const [name, measure] of wanted) {
    // Only what moves disks depends on where they are.
    if (place !== places[0] && name !== 'pull' && name !== 'push') continue;
    const work = mkdtempSync(path.join(place, 'tartlet-bench-'));
    try {
      console.error(`${name} in ${place} ...`);
      rows.push(...(await measure({ work, runs, diskBytes, quick })));
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  results.push({ place: place === '/dev/shm' ? 'memory (/dev/shm)' : 'disk', rows });
}

const machine = `${availableParallelism()} x ${cpus()[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 1e9)} GB, Linux ${release()}, Node ${process.version}`;
const peers = ['skopeo', 'lz4', 'curl'].map((program) => versionOf(program)).join('; ');
const text = [
  `${machine}. ${peers}. Disks of ${size} GiB made of the files below \`/usr\`, medians of ${runs}, registry: \`tartlet serve\` on the same machine.`,
  ...results.map(({ place, rows }) => `**On ${place}**\n\n${table(rows)}`),
].join('\n\n');

if (values.json) console.log(JSON.stringify({ schema: 1, machine, peers, diskBytes, runs, results }, null, 2));
else console.log(text);
if (values.write) {
  const page = path.join(root, 'docs/maintainers/performance.md');
  const [before, rest = ''] = readFileSync(page, 'utf8').split('<!-- bench -->\n');
  const [, after = ''] = rest.split('<!-- /bench -->\n');
  writeFileSync(page, `${before}<!-- bench -->\n${text}\n<!-- /bench -->\n${after}`);
}
