import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeCloudDisk } from '../support/cloud-disk.ts';
import { PARTS_OF_DRIVERS } from '../support/driven-vm.ts';
import { plantGuest } from '../support/guest.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND } from '../support/real-command.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { freePort } from '../support/real-process.ts';

/**
 * The README shows what comes out: its commands are run in their order, and each must print the lines below it, no more
 * and no fewer. What differs between machines and runs is compared by its kind only ({@link kindsOf}).
 */
const README = readFileSync(path.resolve(import.meta.dirname, '../../README.md'), 'utf8');
/** Where the README's registry listens; the test's is on a free port. */
const ADDRESS = '127.0.0.1:8221';
/** These build the package itself; `npm run package-check` tries them. */
const OF_THE_PACKAGE = /^npm /;
/** These need a guest that boots: the little one of the tests takes the place of the README's. */
const OF_A_GUEST = /^tartlet (?:run|ip|exec|ssh|stop) /;
/** How far a transfer is: printed when it takes long. */
const PROGRESS = /: \d+%, /;
const LONG_MS = 300_000;

interface Step {
  readonly command: string;
  readonly shown: readonly string[];
}

/** The commands of the console blocks, each with the lines below it. */
function stepsOf(document: string): Step[] {
  const blocks = [...document.matchAll(/^```console\n(?<text>[^]*?)^```$/gm)].map((match) => match.groups?.['text']);
  return blocks
    .join('')
    .split(/^\$ /m)
    .slice(1)
    .map((text) => text.trimEnd().split('\n'))
    .map(([command = '', ...shown]) => ({ command, shown }));
}

/** Lines with a word in the place of each digest, size, rate, time and width of a column. */
function kindsOf(lines: readonly string[]): string[] {
  return lines
    .filter((line) => line !== '' && !PROGRESS.test(line))
    .map((line) =>
      line
        .replaceAll(/sha256:[\da-f]{64}/g, 'sha256:DIGEST')
        .replaceAll(/sha256:[\da-f]+…/g, 'sha256:DIGEST…')
        .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'DATE')
        .replaceAll(/\d+(?:\.\d+)? [kKMGT]?B(?:\/s)?/g, 'SIZE')
        .replaceAll(/in \d+[hms](?: \d+[hms])*/g, 'in TIME')
        .replaceAll(/in \d+ chunks/g, 'in N chunks')
        // A transfer that is over in no time has no rate, and nothing that limits it.
        .replace(/(?<=in TIME) \(SIZE\)|; limited by .*/g, '')
        .replaceAll(/just now|\d+ seconds? ago/g, 'JUST-NOW')
        .replaceAll(/ +/g, ' ')
        .trimEnd(),
    );
}

/** A machine with nothing but the README's files, where the registry listens on a free port. */
class Tour {
  readonly directory: string;
  readonly environment: Record<string, string>;
  readonly #address: string;
  readonly #cleanup: Cleanup;
  /** The last command in the background: when it ends, and what it has printed since this was last asked. */
  #background = { ended: Promise.resolve(), news: (): string => '' };

  constructor(cleanup: Cleanup, port: number) {
    this.#cleanup = cleanup;
    this.#address = `127.0.0.1:${port}`;
    this.directory = cleanup.directory();
    const at = (name: string): string => path.join(this.directory, name);
    for (const name of ['you', 'bin', 'place', 'run']) mkdirSync(at(name), { mode: 0o700 });
    symlinkSync(COMMAND, at('bin/tartlet'));
    this.environment = {
      PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`,
      HOME: at('you'),
      TART_HOME: at('publisher'),
      XDG_RUNTIME_DIR: at('run'),
      NO_COLOR: '1',
      NODE_DISABLE_COMPILE_CACHE: '1',
    };
  }

  /** A text of the README as it is on this machine. */
  here(text: string): string {
    return text
      .replaceAll(ADDRESS, this.#address)
      .replaceAll('127.0.0.1%3A8221', this.#address.replace(':', '%3A'))
      .replaceAll('/home/you', path.join(this.directory, 'you'))
      .replaceAll('/tmp/ci', path.join(this.directory, 'ci'));
  }

  /** Runs a command to its end, or one that ends with `&` until it has printed as many lines as are shown. */
  async printed({ command, shown }: Step): Promise<string[]> {
    const isInBackground = command.endsWith('&');
    const words = this.here(command.replace(/ &$/, ''));
    // What the README shows of `list` is what a terminal gets.
    const line = words.startsWith('tartlet list') ? `script -qec 'stty cols 120; ${words}' /dev/null` : words;
    const child = spawn('bash', ['-c', `exec 2>&1; ${isInBackground ? 'exec ' : ''}${line}`], {
      cwd: path.join(this.directory, 'place'),
      env: this.environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#background.news();
    const ended = new Promise<void>((resolve) => {
      child.once('close', () => resolve());
    });
    let text = '';
    const isShown = new Promise<void>((resolve) => {
      if (shown.length === 0) resolve();
      child.stdout.setEncoding('utf8').on('data', (more: string) => {
        text += more;
        if (text.split('\n').length > shown.length) resolve();
      });
    });
    if (isInBackground) {
      this.#cleanup.add(async () => {
        child.kill('SIGTERM');
        await ended;
      });
    }
    await (isInBackground ? Promise.race([isShown, ended]) : ended);
    if (isInBackground) {
      let toldUntil = 0;
      const news = (): string => {
        const from = toldUntil;
        toldUntil = text.length;
        return text.slice(from);
      };
      this.#background = { ended, news };
    } else if (command.startsWith('tartlet stop ')) {
      // What stops is the run, on the same terminal.
      await this.#background.ended;
      text += this.#background.news();
    }
    return text.replaceAll('\r', '').split('\n');
  }
}

describeWithParts("the README's tour", ['sfdisk', 'mformat'], () => {
  const cleanup = new Cleanup();
  let tour: Tour;

  beforeAll(async () => {
    tour = new Tour(cleanup, await freePort('127.0.0.1'));
    makeCloudDisk(`${tour.directory}/place/debian-12.qcow2`, { loaders: ['BOOTX64.EFI'] });
    writeFileSync(`${tour.directory}/place/user-data`, '#cloud-config\nusers: [default]\n');
  });
  afterAll(async () => cleanup.run());

  it('prints what it shows, line by line', { timeout: LONG_MS }, async () => {
    const steps = stepsOf(README).filter(({ command }) => !OF_THE_PACKAGE.test(command) && !OF_A_GUEST.test(command));
    expect(steps.length).toBeGreaterThanOrEqual(10);
    for (const step of steps) {
      const assigned = /^export (?<name>\w+)=(?<value>\S+)$/.exec(step.command)?.groups;
      if (assigned !== undefined) {
        tour.environment[assigned['name'] ?? ''] = tour.here(assigned['value'] ?? '');
        continue;
      }
      const lines = kindsOf(await tour.printed(step));
      // Where files can share blocks, nothing is said of a full copy.
      const isCopy = (shown: string): boolean => shown.startsWith('note: full copy');
      const shown = kindsOf(step.shown.map((each) => tour.here(each))).filter((each) => !isCopy(each));
      expect(
        lines.filter((each) => !isCopy(each)),
        step.command,
      ).toEqual(shown);
    }
  });

  it('shows of the demo what the demo prints', { timeout: LONG_MS }, async () => {
    const demo = stepsOf(README).find(({ command }) => command.endsWith('npm run demo'));
    const lines = kindsOf(await tour.printed({ command: 'tartlet demo', shown: [] }));
    const withoutPort = (each: string): string => each.replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS');
    expect(lines.map(withoutPort)).toEqual(kindsOf(demo?.shown ?? []).map(withoutPort));
  });
});

describeWithParts("the README's tour of VMs that run", PARTS_OF_DRIVERS, () => {
  const cleanup = new Cleanup();
  afterAll(async () => cleanup.run());

  it('prints what it shows, line by line, with another guest', { timeout: LONG_MS }, async () => {
    const tour = new Tour(cleanup, await freePort('127.0.0.1'));
    for (const name of ['debian', 'job-1']) plantGuest(`${tour.directory}/publisher/vms/${name}`);
    const steps = stepsOf(README).filter(({ command }) => OF_A_GUEST.test(command));
    expect(steps.length).toBeGreaterThanOrEqual(8);
    const ofAnyGuest = (line: string): string =>
      line
        .replace(/^127(?:\.\d+){3}$/, 'ADDRESS')
        .replace(/^Linux \d\S+$/, 'Linux VERSION')
        .replace(/^(?:debian|guest)$/, 'HOSTNAME');
    for (const step of steps) {
      // Said where there is no KVM, at any time.
      const lines = kindsOf(await tour.printed(step)).filter(
        (line) => !line.startsWith('warning: the guest is emulated'),
      );
      if (step.command.endsWith('&')) continue;
      expect(lines.map(ofAnyGuest), step.command).toEqual(kindsOf(step.shown).map(ofAnyGuest));
    }
  });
});
