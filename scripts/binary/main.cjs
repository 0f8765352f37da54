/*
 * The main script of the single executable (scripts/binary.mjs). The command's files are assets of the executable: worker threads and the native
 * binding need real files, so that they are unpacked once, into a directory that only this user can write to, and run from there.
 */
const { getAsset } = require('node:sea');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const { createRequire } = require('node:module');
const os = require('node:os');
const path = require('node:path');

const manifest = JSON.parse(getAsset('manifest.json', 'utf8'));
const main = path.join(unpacked(), 'dist/bin/main.js');

// By which name it was called: through a link it is `tart` or `vetu`.
process.argv[1] = path.join(path.dirname(process.execPath), path.basename(process.argv0));
// The command starts itself as Node would start it, with its own path as the first word (src/cli/session/ourselves.ts).
if (process.argv[2] === process.argv[1]) process.argv.splice(2, 1);
createRequire(main)(main);

/** @returns the directory with the files, unpacked by this command or an earlier one. */
function unpacked() {
  for (const parent of places()) {
    const directory = path.join(parent, manifest.digest);
    try {
      if (isOurs(directory)) return directory;
      unpack(parent, directory);
      if (isOurs(directory)) return directory;
    } catch {
      // Read-only, full, or another user's: there is another place.
    }
  }
  process.stderr.write('error: there is no directory to unpack the program into: set XDG_CACHE_HOME to one\n');
  process.exit(1);
}

function places() {
  const { XDG_CACHE_HOME, HOME } = process.env;
  const beside = process.platform === 'darwin' ? 'Library/Caches' : '.cache';
  const caches = [XDG_CACHE_HOME, HOME && path.join(HOME, beside)].filter((each) => each && path.isAbsolute(each));
  return [
    ...caches.map((each) => path.join(each, 'tartlet/app')),
    path.join(os.tmpdir(), `tartlet-${process.geteuid()}`),
  ];
}

/** What is in it runs with our rights: no other user may have made or changed it. */
function isOurs(directory) {
  return [path.dirname(directory), directory].every((each) => {
    const stats = fs.lstatSync(each, { throwIfNoEntry: false });
    return stats?.isDirectory() === true && stats.uid === process.geteuid() && (stats.mode & 0o022) === 0;
  });
}

/** Under another name first: a command that starts meanwhile sees all files or none. */
function unpack(parent, directory) {
  fs.mkdirSync(parent, { recursive: true, mode: 0o700 });
  const beside = fs.mkdtempSync(path.join(parent, '.unpacking-'));
  try {
    for (const [name, digest] of Object.entries(manifest.files)) {
      const bytes = Buffer.from(getAsset(name));
      if (createHash('sha256').update(bytes).digest('hex') !== digest) throw new Error(`${name} is damaged`);
      const file = path.join(beside, name);
      fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      fs.writeFileSync(file, bytes, { mode: 0o600, flag: 'wx' });
    }
    fs.renameSync(beside, directory);
  } finally {
    fs.rmSync(beside, { recursive: true, force: true });
  }
}
