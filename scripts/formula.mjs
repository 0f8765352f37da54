/**
 * Writes `build/tartlet.rb`, a Homebrew formula, and beside it the tarball that it is about: that very file has to be
 * at the address. Needs `npm run build` first.
 *
 *     npm run formula -- https://HOST/PATH/tartlet-X.Y.Z.tgz [--check]
 *
 * With `--check` it does what Homebrew does with the formula, without Homebrew: it unpacks the tarball, packs it again
 * and installs that with the arguments of `std_npm_args` into a prefix, links the programs and runs the formula's test.
 * Where Ruby is installed, it reads the formula's syntax. Homebrew itself was not tried.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const own = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const target = path.join(root, 'build');
const tarball = path.join(target, `tartlet-${own.version}.tgz`);
const formula = path.join(target, 'tartlet.rb');
const [address, option] = process.argv.slice(2);

if (!isAddress(address) || (option !== undefined && option !== '--check')) {
  console.error(`usage: npm run formula -- https://HOST/PATH/${path.basename(tarball)} [--check]`);
  process.exit(64);
}
mkdirSync(target, { recursive: true });
npm(['pack', '--silent', '--ignore-scripts', '--pack-destination', target], root);
writeFileSync(formula, formulaFor(address, createHash('sha256').update(readFileSync(tarball)).digest('hex')));
console.log(`ok   build/tartlet.rb, for build/${path.basename(tarball)}`);
if (option === '--check') check();

/** Homebrew reads the version out of the file's name, and shows the address to its users: no password may be in it. */
function isAddress(text) {
  if (!URL.canParse(text)) return false;
  const { protocol, username, pathname } = new URL(text);
  return (
    protocol === 'https:' && username === '' && !/["\\#]/.test(text) && pathname.endsWith(`/${path.basename(tarball)}`)
  );
}

function formulaFor(url, digest) {
  return `class Tartlet < Formula
  desc "Pull, push, list, clone and serve Tart VM images from any OCI registry"
  homepage "${own.homepage ?? new URL(url).origin}"
  url "${url}"
  sha256 "${digest}"
  license "${own.license}"

  depends_on "node"

  def install
    system "npm", "install", *std_npm_args
    bin.install_symlink libexec.glob("bin/*")
  end

  test do
    ENV["TART_HOME"] = testpath/"home"
    assert_equal version.to_s, shell_output("#{bin}/tartlet --version").strip
    assert_match "every byte is the same", shell_output("#{bin}/tartlet demo")
  end
end
`;
}

function check() {
  const work = mkdtempSync(path.join(realpathSync(tmpdir()), 'tartlet-formula-'));
  try {
    const ruby = spawnSync('ruby', ['-c', formula], { encoding: 'utf8' });
    if (ruby.error === undefined && ruby.status !== 0) throw new Error(ruby.stderr);
    console.log(ruby.error === undefined ? 'ok   Ruby reads it' : 'note: no Ruby here, its syntax was not read');

    const inside = path.join(work, 'package');
    execFileSync('tar', ['-xzf', tarball, '-C', work]);
    npm(['pack', '--silent', '--ignore-scripts'], inside);
    const prefix = path.join(work, 'libexec');
    mkdirSync(path.join(prefix, 'lib'), { recursive: true });
    const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    const packed = path.join(inside, path.basename(tarball));
    npm(
      ['install', ...quiet, '--global', '--build-from-source', '--ignore-scripts', `--prefix=${prefix}`, packed],
      inside,
    );

    const command = path.join(work, 'tartlet');
    symlinkSync(path.join(prefix, 'bin/tartlet'), command);
    const env = { ...process.env, HOME: work, TART_HOME: path.join(work, 'home') };
    const said = (word) => execFileSync(command, [word], { cwd: work, env, encoding: 'utf8', timeout: 120_000 });
    if (said('--version') !== `${own.version}\n`) throw new Error(`it is not version ${own.version}`);
    if (!said('demo').includes('every byte is the same')) throw new Error('its demo does not end well');
    console.log('ok   what the formula does and its test, done by npm in a prefix (without Homebrew)');
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function npm(parameters, cwd) {
  execFileSync('npm', parameters, { cwd, stdio: ['ignore', 'pipe', 'inherit'], timeout: 300_000 });
}
