/**
 * How large layers should be: what an update of a system costs in layers of 16 to 512 MiB, one line of JSON each. The
 * table of docs/guide/deltas.md: `node scripts/bench/layer-sizes.mjs [--size GiB] [--directory F]`. Needs mke2fs and
 * debugfs (Debian: apt-get install e2fsprogs).
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { makeVm, MIB } from './disk.mjs';
import { tartlet, timed, withRegistry } from './process.mjs';

const { values } = parseArgs({
  options: { size: { type: 'string', default: '2' }, directory: { type: 'string', default: tmpdir() } },
});
const diskBytes = Math.round(Number(values.size) * 1024) * MIB;
const work = mkdtempSync(path.join(values.directory, 'tartlet-layers-'));
const home = { TART_HOME: `${work}/home` };
try {
  await withRegistry(work, layers);
} finally {
  rmSync(work, { recursive: true, force: true });
}

function run(...command) {
  return timed(work, [...tartlet, ...command], home);
}

/** What a command of ours prints as JSON. */
function ask(...command) {
  const { stdout } = spawnSync(tartlet[0], [tartlet[1], ...command, '--format', 'json'], {
    env: { ...process.env, ...home },
    encoding: 'utf8',
  });
  return JSON.parse(stdout);
}

/**
 * How much an update of a system costs in layers of 16 to 512 MiB: a file system with the programs of this machine,
 * updated as a package manager does it, by replacing files all over it.
 */
async function layers(at) {
  const disk = `${work}/home/vms/os/disk.img`;
  makeVm(`${work}/home/vms/os`, 'sparse', 0);
  rmSync(disk);
  const tree = `${work}/tree`;
  mkdirSync(tree);
  shell(`for d in /usr/bin /usr/share /etc; do cp -a --parents $d ${tree} 2>/dev/null; done; true`);
  shell(`truncate -s ${diskBytes} ${disk} && mke2fs -q -t ext4 -O ^has_journal -d ${tree} ${disk}`);
  const names = [16, 64, 128, 512].map((mebibytes) => ({
    mebibytes,
    v1: `${at}/os/l${mebibytes}:1`,
    v2: `${at}/os/l${mebibytes}:2`,
  }));
  for (const { mebibytes, v1 } of names) {
    run('push', '--layer-size', String(mebibytes), 'os', v1);
    run('pull', v1);
  }
  update(disk, tree);
  for (const { mebibytes, v1, v2 } of names) {
    const full = ask('inspect', '--remote', v1).manifest.transferBytes;
    const pushed = run('push', '--layer-size', String(mebibytes), 'os', v2);
    say({
      what: 'update of a system',
      layerMiB: mebibytes,
      fullBytes: full,
      deltaBytes: ask('pull', '--dry-run', v2).fetchBytes,
      pushSeconds: pushed.seconds,
    });
  }
}

/**
 * Replaces 3 % of the files, as an update would: new content of about the same length, written elsewhere, the old one
 * removed.
 */
function update(disk, tree) {
  const files = readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => !/[\s"]/.test(file));
  const commands = files
    .filter((file) => createHash('sha256').update(file).digest()[0] < 8)
    .flatMap((file) => {
      const inside = file.slice(tree.length);
      const bytes = readFileSync(file);
      for (let at = 0; at < bytes.length; at += 97) bytes[at] ^= 1;
      const fresh = `${work}/fresh-${createHash('sha256').update(file).digest('hex')}`;
      writeFileSync(fresh, bytes);
      return [`rm ${inside}`, `write ${fresh} ${inside}`];
    });
  writeFileSync(`${work}/commands`, commands.join('\n'));
  shell(`debugfs -w -f ${work}/commands ${disk} >/dev/null 2>&1`);
}

function say(row) {
  console.log(JSON.stringify(row));
}

function shell(command) {
  const { status, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command.slice(0, 80)} failed: ${stderr}`);
}
