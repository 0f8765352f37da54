/**
 * Fetches Debian packages for one architecture, whatever the machine is, and unpacks them side by side; nothing is
 * installed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const QUIET = { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 };

/**
 * An apt of its own: own state and cache in `directory`, the machine's sources and keys, another architecture if need
 * be.
 */
export class Packages {
  #directory;
  #options;

  constructor(directory, architecture) {
    this.#directory = directory;
    for (const name of ['lists/partial', 'archives/partial', 'debs'])
      mkdirSync(`${directory}/${name}`, { recursive: true });
    if (!existsSync(`${directory}/status`)) writeFileSync(`${directory}/status`, '');
    this.#options = [
      `APT::Architecture=${architecture}`,
      `APT::Architectures=${architecture}`,
      `Dir::State=${directory}`,
      `Dir::State::Lists=${directory}/lists`,
      `Dir::State::status=${directory}/status`,
      `Dir::Cache=${directory}`,
      'APT::Sandbox::User=root',
      'Acquire::Retries=3',
      'Acquire::Languages=none',
    ].flatMap((option) => ['-o', option]);
  }

  /** Reads the lists of packages. */
  update() {
    execFileSync('apt-get', [...this.#options, '-qq', 'update'], QUIET);
  }

  /** The one package that a name of a group (a kernel of no version) leads to. */
  meaning(name, pattern) {
    const text = execFileSync('apt-cache', [...this.#options, 'depends', name], QUIET);
    const found = text
      .split('\n')
      .map((line) => /Depends: (\S+)/.exec(line)?.[1])
      .find((one) => one !== undefined && pattern.test(one));
    if (found === undefined) throw new Error(`${name} leads to no package like ${pattern}`);
    return found;
  }

  /** The libraries that programs need, by what their packages say. */
  libraries(names) {
    const text = execFileSync(
      'apt-cache',
      [
        ...this.#options,
        'depends',
        '--recurse',
        '--no-recommends',
        '--no-suggests',
        '--no-conflicts',
        '--no-breaks',
        '--no-replaces',
        '--no-enhances',
        '--no-pre-depends',
        ...names,
      ],
      QUIET,
    );
    const found = text.split('\n').filter((line) => /^(?:lib|zlib)[a-z0-9.+-]+$/.test(line));
    return [...new Set(found)].filter((name) => !/^lib(?:debconf|pam-runtime|systemd-shared|perl|text)/.test(name));
  }

  /** Fetches packages and unpacks them below `to`. */
  unpack(names, to) {
    const directory = `${this.#directory}/debs`;
    execFileSync('apt-get', [...this.#options, '-qq', 'download', ...names], { ...QUIET, cwd: directory });
    mkdirSync(to, { recursive: true });
    const wanted = new Set(names);
    for (const file of readdirSync(directory)) {
      if (wanted.has(file.split('_')[0])) execFileSync('dpkg-deb', ['-x', path.join(directory, file), to], QUIET);
    }
  }
}

/** The modules that `names` need, in the order of loading, as paths below the directory of the kernel's modules. */
export function modulesInOrder(directory, names) {
  const lines = readFileSync(`${directory}/modules.dep`, 'utf8').trim().split('\n');
  const needs = new Map(
    lines.map((line) => [line.split(':')[0], line.split(':')[1].trim().split(' ').filter(Boolean)]),
  );
  const byName = new Map(
    [...needs.keys()].map((file) => [
      path
        .basename(file)
        .replace(/\.ko.*$/, '')
        .replaceAll('-', '_'),
      file,
    ]),
  );
  const order = [];
  for (const name of names) {
    const file = byName.get(name.replaceAll('-', '_'));
    // Compiled into the kernel of one architecture, a module in that of another.
    if (file === undefined) continue;
    for (const one of [...needs.get(file).toReversed(), file]) if (!order.includes(one)) order.push(one);
  }
  return order;
}
