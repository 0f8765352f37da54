/**
 * A copy of the tree in which faults are planted to see who notices; shared by planted-faults.mjs and planted-bugs.mjs.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');

export class PlantedTree {
  // Resolved: where the temporary directory is a link (macOS), tools would report paths that do not begin with it.
  #copy = mkdtempSync(path.join(realpathSync(tmpdir()), 'tartlet-planted-'));
  /** Proofs that failed so far. */
  wrong = 0;

  constructor() {
    const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: root,
      encoding: 'utf8',
    });
    for (const file of list.split('\0')) {
      const from = path.join(root, file);
      if (file === '' || !existsSync(from)) continue;
      mkdirSync(path.dirname(path.join(this.#copy, file)), { recursive: true });
      copyFileSync(from, path.join(this.#copy, file));
    }
    // The examples are checked against the declarations of the build.
    for (const made of ['node_modules', 'dist'])
      if (existsSync(path.join(root, made))) symlinkSync(path.join(root, made), path.join(this.#copy, made), 'dir');
  }

  /** Runs npm with these arguments in the copy. */
  npm(args, timeoutMs, more = {}) {
    const environment = { ...process.env, ...more, NO_COLOR: '1', TARTLET_SKIP_BUILD: '1' };
    delete environment.FORCE_COLOR;
    const result = spawnSync('npm', args, {
      cwd: this.#copy,
      env: environment,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    if (result.error !== undefined) throw result.error;
    return { status: result.status, output: `${result.stdout}${result.stderr}` };
  }

  /**
   * Writes files (a function makes the new text of the old one) while `work` runs, and puts back what was there before.
   */
  with(files, work) {
    const before = Object.entries(files).map(([file, content]) => this.#plant(file, content));
    try {
      return work();
    } finally {
      for (const [target, text] of before) {
        if (text === undefined) rmSync(target);
        else writeFileSync(target, text);
      }
    }
  }

  #plant(file, content) {
    const target = path.join(this.#copy, file);
    const old = existsSync(target) ? readFileSync(target, 'utf8') : undefined;
    const text = typeof content === 'function' ? content(old) : content;
    if (text === old) throw new Error(`nothing was planted in ${file}`);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, text);
    return [target, old];
  }

  report(good, sentence, output) {
    console.log(`${good ? 'ok  ' : 'FAIL'} ${sentence}`);
    if (good) return;
    this.wrong += 1;
    console.log(output.split('\n').slice(-60).join('\n'));
  }

  remove() {
    rmSync(this.#copy, { recursive: true, force: true });
  }
}
