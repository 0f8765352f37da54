/**
 * Runs the built command under the other Node versions that we promise (package.json `engines`,
 * docs/maintainers/architecture.md): this one is what the tests run on. The binaries come from the packages that carry
 * them, one pinned version each, without running anything of theirs at install; they are kept in node_modules/.cache
 * for the next time.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const VERSIONS = ['22.23.3', '24.21.0', '26.10.0'];
/** Platforms whose binaries exist as packages in these versions. */
const PLATFORMS = ['linux-x64', 'linux-arm64'];

const root = path.resolve(import.meta.dirname, '..');
const command = path.join(root, 'bin/tartlet');
const platform = `${process.platform}-${process.arch}`;

if (PLATFORMS.includes(platform)) {
  const home = mkdtempSync(path.join(realpathSync(tmpdir()), 'tartlet-node-'));
  try {
    for (const version of VERSIONS) check(version, home);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
} else {
  // Not silently: in CI a proof that was left out counts as one that failed.
  console.log(`left out: there are no packages with Node binaries for ${platform}`);
  process.exitCode = process.env.CI === 'true' ? 1 : 0;
}

function check(version, home) {
  try {
    const node = install(version);
    const said = run(node, ['--version'], home).trim();
    if (said !== `v${version}`) throw new Error(`the binary says ${said}`);
    const own = run(node, [command, '--version'], home).trim();
    const started = performance.now();
    run(node, [command, 'demo'], home);
    console.log(`ok   Node ${version}: tartlet ${own}, demo in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  } catch (error) {
    console.log(`FAIL Node ${version}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}

/** Path of the binary of this version. */
function install(version) {
  const directory = path.join(root, 'node_modules/.cache/node-versions', version);
  const binary = path.join(directory, 'node_modules', `node-${platform}`, 'bin/node');
  if (!existsSync(binary)) {
    mkdirSync(directory, { recursive: true });
    const quiet = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    run('npm', ['install', ...quiet, '--prefix', directory, `node-${platform}@${version}`], directory, process.env);
  }
  return binary;
}

/**
 * Standard output of a program that must end with 0. Its home is empty: no login data and no images of the user who
 * runs this.
 */
function run(program, parameters, cwd, environment = { ...process.env, HOME: cwd, TART_HOME: path.join(cwd, 'tart') }) {
  const result = spawnSync(program, parameters, {
    cwd,
    env: environment,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 300_000,
    killSignal: 'SIGKILL',
  });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0) {
    throw new Error(`"${parameters.join(' ')}" ended with ${result.status}\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}
