import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const TARTLET = path.resolve(import.meta.dirname, '../../../bin/tartlet');
/** Bytes per second. */
const RATE = 4 * 1024 ** 2;
/** What is between two pieces that belong to the transfer of the image. Requests and answers around it are small. */
const LARGE_BYTES = 4096;

/**
 * Pulls, pushes and copies an image that takes so many seconds at a rate.
 *
 * @returns how fast each was, in percent of the rate.
 */
export async function measureRates(seconds) {
  const place = new Place();
  try {
    const bytes = Math.round(RATE * seconds);
    const source = await place.registry();
    await place.tartlet('publisher', 'create', '--linux', '--disk-size', '1', 'vm');
    writeFileSync(`${place.directory}/publisher/vms/vm/disk.img`, randomBytes(bytes));
    const push = ['push', '--quiet', '--layer-size', '1', 'vm'];
    await place.tartlet('publisher', ...push, `${source.direct}/a/base:1`);
    const limit = ['--limit-rate', String(RATE)];
    const pull = ['pull', '--quiet', ...limit, `${source.relayed}/a/base:1`];
    const pulled = await place.timed(source, 'down', 'puller', ...pull);
    const [pushTo, copyTo] = [await place.registry(), await place.registry()];
    const pushed = await place.timed(pushTo, 'up', 'publisher', ...push, ...limit, `${pushTo.relayed}/a/base:1`);
    const names = [`${source.direct}/a/base:1`, `${copyTo.relayed}/a/base:1`];
    const copied = await place.timed(copyTo, 'up', 'publisher', 'copy', '--quiet', ...limit, ...names);
    return Object.entries({ pull: pulled, push: pushed, copy: copied }).map(([what, rate]) => ({
      what,
      percent: (rate / RATE) * 100,
    }));
  } finally {
    await place.close();
  }
}

/** A directory with homes, and registries that are reached by way of a relay that looks at its clock. */
class Place {
  directory = mkdtempSync(path.join(tmpdir(), 'tartlet-f9-'));
  #works = [];

  /** Runs a command in a home. */
  async tartlet(home, ...args) {
    mkdirSync(`${this.directory}/${home}`, { recursive: true });
    const child = spawn(process.execPath, [TARTLET, ...args], {
      env: { PATH: process.env.PATH, HOME: this.directory, TART_HOME: `${this.directory}/${home}` },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}`);
  }

  /**
   * Runs a command and measures what crosses the relay of a registry: from the first piece of the image to the last
   * one, or to the end of a command that pulls. A system takes in advance what a reader has not asked for yet.
   *
   * @returns bytes per second.
   */
  async timed(registry, way, home, ...args) {
    registry.pieces.length = 0;
    await this.tartlet(home, ...args);
    const ended = performance.now();
    const pieces = registry.pieces.filter((piece) => piece.way === way && piece.bytes >= LARGE_BYTES);
    const bytes = pieces.reduce((sum, piece) => sum + piece.bytes, 0);
    const until = way === 'up' ? pieces.at(-1).at : ended;
    return (bytes * 1000) / (until - pieces[0].at);
  }

  async registry() {
    const child = spawn(process.execPath, [TARTLET, 'serve', '--listen', '127.0.0.1:0', '--data', this.#data()], {
      env: { PATH: process.env.PATH, HOME: this.directory },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#works.push(async () => {
      child.kill();
      await once(child, 'exit');
    });
    const [text] = await once(child.stdout, 'data');
    const { port } = new URL(String(text).trim());
    const pieces = [];
    const relay = createServer((client) => {
      const server = connect(Number(port), '127.0.0.1');
      for (const [from, to, way] of [
        [client, server, 'up'],
        [server, client, 'down'],
      ]) {
        from.on('data', (piece) => pieces.push({ way, bytes: piece.length, at: performance.now() }));
        from.on('error', () => to.destroy());
        from.pipe(to);
      }
    });
    relay.listen(0, '127.0.0.1');
    await once(relay, 'listening');
    this.#works.push(() => relay.close());
    return { direct: `127.0.0.1:${port}`, relayed: `127.0.0.1:${relay.address().port}`, pieces };
  }

  #data() {
    return mkdtempSync(`${this.directory}/registry-`);
  }

  async close() {
    for (const work of this.#works.toReversed()) await work();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
