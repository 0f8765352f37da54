/**
 * Checks the package as a user gets it: packs it, looks at what is inside, installs the tarball alone in an empty
 * directory and uses the command, the library and the types from there. Needs `npm run build` first; the registry only
 * for the production dependencies.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(import.meta.dirname, '..');
const tool = (file) => path.join(root, 'node_modules', file);
const own = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

const work = mkdtempSync(path.join(realpathSync(tmpdir()), 'tartlet-package-'));
let step = 'starting';
try {
  checkLockFile();
  const { tarball, files } = pack();
  checkContents(tarball, files);
  checkWithJudges(tarball);
  checkFreshClone();
  const user = install(tarball);
  useCommand(user);
  useLibrary(user);
  useTypes(user);
  useGlobally(tarball);
  writeFormula();
  console.log('The package is fit to publish.');
} catch (error) {
  console.error(`FAIL ${step}: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** A lock file that names a registry ties everybody to it, and an install script runs before anybody has read it. */
function checkLockFile() {
  step = 'lock file';
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
  const packages = Object.entries(lock.packages).filter(([place]) => place !== '');
  const naming = (key) => packages.filter(([, one]) => one[key] !== undefined).map(([place]) => place);
  expectNone(naming('resolved'), 'name the registry they came from');
  expectNone(naming('hasInstallScript'), 'run a script when they are installed');
  // Our developers' tools name binaries for many platforms; the registry that this lock file was made from has only
  // some of them, so the others are locked by version alone. Nothing that a user installs may be without a hash.
  const unhashed = packages.filter(([, one]) => one.integrity === undefined);
  expectNone(
    unhashed.filter(([, one]) => !(one.dev && one.optional && one.os)).map(([place]) => place),
    'have no integrity hash',
  );
  const loose = Object.entries({ ...own.dependencies, ...own.optionalDependencies, ...own.devDependencies });
  expectNone(
    loose.filter(([, range]) => !/^(npm:[^@]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(range)).map(([name]) => name),
    'are not pinned to one version',
  );
  console.log(
    `ok   ${packages.length} locked packages: pinned, no install scripts, no registry addresses; hashed but for ${unhashed.length} binaries of tools for other platforms`,
  );
}

function pack() {
  step = 'pack';
  const output = npm(['pack', '--json', '--ignore-scripts', '--pack-destination', work], root);
  const [packed] = JSON.parse(output);
  return { tarball: path.join(work, packed.filename), files: packed.files.map((file) => file.path) };
}

function checkContents(tarball, files) {
  step = 'contents of the tarball';
  const allowed =
    /^(package\.json|LICENSE|SECURITY\.md|README\.md|bin\/tartlet|(dist\/)?bin\/package\.json|docs\/[\w./-]+\.md|packaging\/launchd\/tartlet\.prefetch\.plist|packaging\/systemd\/tartlet-(serve|peer@|prefetch|site-cache)\.service|packaging\/systemd\/tartlet-prefetch\.timer|dist\/([\w./-]+\.(js|d\.ts)|lz4\.wasm))$/;
  expectNone(
    files.filter((file) => !allowed.test(file) || /(^|\/)(tests?|__tests__)\/|\.test\.|\.map$/.test(file)),
    'do not belong into the package',
  );
  const needed = [
    own.bin.tartlet,
    ...Object.values(own.exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry.types, entry.default])),
    'dist/bin/main.js',
    'LICENSE',
  ];
  expectNone(
    needed.map((file) => path.normalize(file)).filter((file) => !files.includes(file)),
    'are missing',
  );
  const inside = path.join(work, 'inside');
  mkdirSync(inside);
  execFileSync('tar', ['-xzf', tarball, '-C', inside]);
  // npm warns of each of these at every install from a file or an address. What builds a fresh clone is called
  // otherwise: checkFreshClone.
  const { scripts = {} } = JSON.parse(readFileSync(path.join(inside, 'package/package.json'), 'utf8'));
  const atInstall = ['preinstall', 'install', 'postinstall', 'prepublish', 'prepare'];
  expectNone(
    atInstall.filter((name) => scripts[name] !== undefined),
    'are scripts of the package that run at its install',
  );
  const here = [root, `${homedir()}/`, '.build-'];
  const telling = files.filter((file) => {
    const text = readFileSync(path.join(inside, 'package', file), 'utf8');
    return here.some((place) => text.includes(place));
  });
  expectNone(telling, 'contain a path of this machine');
  const unpacked = files.reduce((sum, file) => sum + statSync(path.join(inside, 'package', file)).size, 0);
  const kilobytes = (bytes) => `${Math.round(bytes / 1000)} kB`;
  console.log(
    `ok   ${path.basename(tarball)}: ${files.length} files, ${kilobytes(statSync(tarball).size)} packed, ${kilobytes(unpacked)} unpacked`,
  );
}

function checkWithJudges(tarball) {
  step = 'publint';
  node([beside(import.meta.resolve('publint'), 'cli.js'), 'run', tarball, '--strict'], root);
  console.log('ok   publint has nothing to say');
  step = 'are the types wrong';
  const judge = beside(import.meta.resolve('@arethetypeswrong/cli/package.json'), 'dist/index.js');
  node([judge, tarball, '--profile', 'esm-only', '--no-color'], root);
  console.log('ok   the types are right for importers (attw, esm-only)');
}

/** No build by hand is needed after `npm ci`. */
function checkFreshClone() {
  step = 'npm ci in a fresh clone';
  const clone = path.join(work, 'clone');
  run('git', ['clone', '--quiet', root, clone], work, process.env);
  npm(['ci', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'], clone);
  expectNone(
    ['dist/index.js', 'dist/bin/main.js'].filter((file) => !existsSync(path.join(clone, file))),
    'are not built by npm ci',
  );
  console.log('ok   npm ci in a fresh clone builds the command and the library');
}

function install(tarball) {
  step = 'install';
  const user = path.join(work, 'user');
  mkdirSync(user);
  writeFileSync(path.join(user, 'package.json'), '{ "name": "user", "private": true, "type": "module" }\n');
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=warn'];
  const said = spawnSync('npm', ['install', ...quiet, '--omit=dev', '--prefix', user, tarball], {
    cwd: user,
    encoding: 'utf8',
    timeout: 300_000,
  });
  if (said.status !== 0) throw new Error(`npm install ended with ${said.status}\n${said.stderr}`);
  expectNone(
    said.stderr.split('\n').filter((line) => line.includes('script')),
    'is what npm says about scripts',
  );
  const lock = JSON.parse(readFileSync(path.join(user, 'package-lock.json'), 'utf8'));
  const places = Object.keys(lock.packages).filter((place) => place !== '');
  expectNone(
    places.filter((place) => lock.packages[place].hasInstallScript === true),
    'run a script when they are installed',
  );
  console.log(`ok   installs in an empty directory: ${places.length} packages`);
  return user;
}

function useCommand(user) {
  const command = path.join(user, 'node_modules/.bin/tartlet');
  // A home of its own: no login data and no images of the user who runs this.
  const environment = { ...process.env, HOME: user, TART_HOME: path.join(user, 'tart') };
  step = 'tartlet --version';
  const version = run(command, ['--version'], user, environment).trim();
  if (version !== own.version) throw new Error(`it says ${JSON.stringify(version)}, package.json ${own.version}`);
  step = 'tartlet --help';
  const help = run(command, ['--help'], user, environment);
  expectNone(
    ['pull', 'push', 'list', 'clone', 'serve', 'demo'].filter((name) => !help.includes(name)),
    'are not in --help',
  );
  step = 'the names tart and vetu';
  mkdirSync(path.join(user, 'links'));
  for (const name of ['tart', 'vetu']) symlinkSync(command, path.join(user, 'links', name));
  const linked = (name, ...args) => run(path.join(user, 'links', name), args, user, environment);
  if (linked('vetu', 'list', '--format', 'json').trim() !== '[]') throw new Error('vetu does not list');
  for (const name of ['tart', 'vetu']) {
    if (!linked(name, 'run', '--help').startsWith(`Usage: ${name} run `)) throw new Error(`${name} is not called so`);
  }
  step = 'tartlet demo';
  const started = performance.now();
  run(command, ['demo'], user, environment);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`ok   tartlet --version (${version}), --help and demo (${seconds} s) work from the installed package`);
}

function useLibrary(user) {
  step = 'import of the library';
  const script = `
    import { openTartlet, TartletError } from 'tartlet';
    import { RepositoryClient } from 'tartlet/client';
    import { RemoteName } from 'tartlet/names';
    import { createRegistry } from 'tartlet/server';
    const name = RemoteName.parse('registry.example:8221/macos/base');
    if (name.toString() !== 'registry.example:8221/macos/base:latest') throw new Error(name.toString());
    try {
      RemoteName.parse('https://registry.example/a');
      throw new Error('a scheme was accepted');
    } catch (error) {
      if (!(error instanceof TartletError) || error.code !== 'NAME_MALFORMED') throw error;
    }
    const registry = createRegistry({ dataDirectory: 'registry' });
    const { address, port } = await registry.listen();
    const repository = \`\${address}:\${port}/linux/empty\`;
    const tartlet = openTartlet({ home: process.cwd() + '/home', credentials: 'none' });
    await tartlet.create('empty', { diskBytes: 64_000_000, arch: 'amd64' });
    await tartlet.push('empty', repository + ':1');
    const { status } = await tartlet.pull(repository + ':1');
    const client = new RepositoryClient({ registry: address + ':' + port, repository: 'linux/empty' });
    await client.ping();
    for (const one of [client, tartlet, registry]) await one.close();
    process.stdout.write(status);
  `;
  writeFileSync(path.join(user, 'use.mjs'), script);
  const status = node([path.join(user, 'use.mjs')], user);
  if (status !== 'pulled') throw new Error(`it says ${status}`);
  console.log('ok   the library makes, pushes and pulls a VM, by all its entries');
}

/** Strict and without `skipLibCheck`: every declaration we ship must compile in another project. */
function useTypes(user) {
  step = 'types for a user';
  writeFileSync(
    path.join(user, 'use.ts'),
    `import { openTartlet, TartletError, type ErrorCode, type PullOutcome } from 'tartlet';
import { RemoteName } from 'tartlet/names';

export const port: number | undefined = RemoteName.parse('registry.example:8221/macos/base').registry.port;
export function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof TartletError ? error.code : undefined;
}
export async function pull(image: string): Promise<PullOutcome> {
  const tartlet = openTartlet();
  return tartlet.pull(image, { onProgress: ({ fraction }) => console.log(fraction) });
}
// @ts-expect-error -- names are made by parsing only
export const forged = new RemoteName();
`,
  );
  const compilerOptions = {
    target: 'ES2023',
    lib: ['ES2023'],
    module: 'NodeNext',
    moduleResolution: 'NodeNext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    types: ['node'],
    typeRoots: [tool('@types')],
  };
  writeFileSync(path.join(user, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }));
  node([tool('typescript7/bin/tsc'), '-p', user], user);
  console.log('ok   a strict NodeNext project compiles against the types');
}

/**
 * As a user has it in PATH: by npm's prefix, upgraded from an older version, removed again; and by npx without
 * installing.
 */
function useGlobally(tarball) {
  step = 'npm install --global';
  const home = path.join(work, 'global-user');
  const prefix = path.join(work, 'prefix');
  const command = path.join(prefix, 'bin/tartlet');
  const environment = { ...process.env, HOME: home, TART_HOME: path.join(home, '.tart'), npm_config_prefix: prefix };
  delete environment.NODE_DISABLE_COMPILE_CACHE;
  mkdirSync(home);
  const quiet = ['--global', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  for (const [file, wanted] of [
    [packOlder(), '0.0.1'],
    [tarball, own.version],
  ]) {
    run('npm', ['install', ...quiet, file], home, environment);
    const { version } = JSON.parse(readFileSync(path.join(prefix, 'lib/node_modules/tartlet/package.json'), 'utf8'));
    if (version !== wanted) throw new Error(`after the install of ${path.basename(file)} version ${version} is there`);
  }
  run(command, ['create', '--linux', '--disk-size', '1', 'kept'], home, environment);

  step = 'npx';
  const npx = run('npx', ['--yes', '--package', tarball, 'tartlet', 'list', '--quiet'], home, environment).trim();
  if (npx !== 'kept') throw new Error(`by npx it lists ${JSON.stringify(npx)}`);

  step = 'npm uninstall --global';
  run('npm', ['uninstall', ...quiet, 'tartlet'], home, environment);
  if (existsSync(command) || existsSync(path.join(prefix, 'lib/node_modules/tartlet'))) {
    throw new Error('something of it is still there');
  }
  const kept = ['.tart/vms/kept/config.json', '.cache/tartlet/code'];
  expectNone(
    kept.filter((file) => !existsSync(path.join(home, file))),
    'went with it, where docs/guide/install.md says that they stay',
  );
  console.log('ok   npm install --global, an upgrade, npx and npm uninstall; VMs and images stay');
}

/** The package under version 0.0.1, to upgrade from. */
function packOlder() {
  const older = path.join(work, 'inside/package');
  writeFileSync(path.join(older, 'package.json'), JSON.stringify({ ...own, version: '0.0.1' }));
  npm(['pack', '--silent', '--ignore-scripts', '--pack-destination', work], older);
  return path.join(work, 'tartlet-0.0.1.tgz');
}

function writeFormula() {
  step = 'formula';
  const address = `https://example.org/tartlet-${own.version}.tgz`;
  process.stdout.write(node([path.join(root, 'scripts/formula.mjs'), address, '--check'], root));
}

/** The program of a tool, from a file of it that its package lets us find. */
function beside(url, file) {
  return path.join(path.dirname(fileURLToPath(url)), file);
}

function expectNone(list, what) {
  if (list.length > 0) throw new Error(`${list.slice(0, 10).join(', ')} ${what}`);
}

function node(parameters, cwd) {
  return run(process.execPath, parameters, cwd, process.env);
}

function npm(parameters, cwd) {
  return run('npm', parameters, cwd, process.env);
}

/**
 * Standard output of a program that must end with 0 within five minutes; everything it said is in the error otherwise.
 */
function run(program, parameters, cwd, environment) {
  const env = { ...environment, NO_COLOR: '1' };
  delete env.FORCE_COLOR;
  const result = spawnSync(program, parameters, {
    cwd,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
    timeout: 300_000,
    killSignal: 'SIGKILL',
  });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0) {
    throw new Error(`${path.basename(program)} ended with ${result.status}\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}
