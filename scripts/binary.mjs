/**
 * Builds `build/tartlet`, one executable file for this platform that needs neither Node nor npm: Node's single
 * executable application, with the command's files as its assets (scripts/binary/main.cjs unpacks them). Needs
 * `npm run build` first. With `--check` it is also tried, in an empty home: version, help, the demo with its registry
 * and worker threads, and its names `tart` and `vetu`.
 *
 * The executable is the Node that runs this script. On macOS it must be signed again after this (`codesign --sign -`);
 * on another platform than Linux x64 it was not tried.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inject } from 'postject';

/** Node looks for it to know that there is something in it. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

const root = path.resolve(import.meta.dirname, '..');
const target = path.join(root, 'build/tartlet');
const work = mkdtempSync(path.join(tmpdir(), 'tartlet-binary-'));
try {
  await build();
  const megabytes = Math.round(statSync(target).size / 1_000_000);
  console.log(
    `ok   build/tartlet: ${megabytes} MB, with Node ${process.version} for ${process.platform}-${process.arch}`,
  );
  if (process.argv.includes('--check')) check();
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function build() {
  const files = filesOfTheCommand();
  const digests = Object.fromEntries(files.map(([name, file]) => [name, sha256(readFileSync(file))]));
  const manifest = path.join(work, 'manifest.json');
  writeFileSync(manifest, JSON.stringify({ digest: sha256(JSON.stringify(digests)), files: digests }));
  const config = {
    main: path.join(root, 'scripts/binary/main.cjs'),
    output: path.join(work, 'blob'),
    disableExperimentalSEAWarning: true,
    assets: { 'manifest.json': manifest, ...Object.fromEntries(files) },
  };
  writeFileSync(path.join(work, 'config.json'), JSON.stringify(config));
  execFileSync(process.execPath, ['--experimental-sea-config', path.join(work, 'config.json')], { stdio: 'pipe' });
  const binary = path.join(work, 'tartlet');
  copyFileSync(process.execPath, binary);
  chmodSync(binary, 0o755);
  const macho = process.platform === 'darwin' ? { machoSegmentName: 'NODE_SEA' } : {};
  await inject(binary, 'NODE_SEA_BLOB', readFileSync(config.output), { sentinelFuse: FUSE, ...macho });
  mkdirSync(path.dirname(target), { recursive: true });
  copyFileSync(binary, `${target}.new`);
  renameSync(`${target}.new`, target);
}

/** Names as in the package, where its files look for each other, and the files. */
function filesOfTheCommand() {
  const inDist = readdirSync(path.join(root, 'dist/bin')).map((name) => `dist/bin/${name}`);
  const wasm = readdirSync(path.join(root, 'dist')).filter((name) => name.endsWith('.wasm'));
  const bindings = path.join(root, 'node_modules/@yuuang');
  const native = (existsSync(bindings) ? readdirSync(bindings) : []).flatMap((name) =>
    readdirSync(path.join(bindings, name))
      .filter((file) => file.endsWith('.node'))
      .map((file) => `node_modules/@yuuang/${name}/${file}`),
  );
  const names = [...inDist, ...wasm.map((name) => `dist/${name}`), ...native];
  return names.map((name) => [name, path.join(root, name)]);
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

/** As a user who has no Node: nothing is in PATH but what the system has. */
function check() {
  const env = { HOME: work, TART_HOME: path.join(work, 'home'), PATH: '/usr/bin:/bin', NO_COLOR: '1' };
  const run = (program, ...parameters) =>
    execFileSync(program, parameters, {
      cwd: work,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 120_000,
    });
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  expect(run(target, '--version'), `${version}\n`);
  expect(run(target, 'demo').includes('every byte is the same'), true);
  for (const name of ['tart', 'vetu']) {
    symlinkSync(target, path.join(work, name));
    expect(run(path.join(work, name), 'run', '--help').startsWith(`Usage: ${name} run `), true);
  }
  // As the command starts itself in the background.
  expect(run(target, target, '--version'), `${version}\n`);
  // From the second start on nothing is unpacked.
  expect(run(target, 'list', '--format', 'json'), '[]\n');
  console.log(
    `ok   build/tartlet --version (${version}), --help, demo and list work without Node, also as tart and vetu`,
  );
}

function expect(found, wanted) {
  if (found !== wanted) throw new Error(`${JSON.stringify(found)} is not ${JSON.stringify(wanted)}`);
}
