import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { TartletError } from '../../errors.ts';
import { findProgram } from '../../fs/system-program.ts';
import { Home } from '../../home/home.ts';
import { findQemu } from '../../hypervisor/qemu/host.ts';
import { cloneOnDemand } from '../../lazy-disk/clone-on-demand.ts';
import { startVm } from '../../library/running-vm.ts';
import { LocalName } from '../../names/local-name.ts';
import { RemoteName } from '../../names/remote-name.ts';
import type { RunEvent } from '../../run/run-request.ts';
import { readSerialLog } from '../../run/serial-log.ts';
import { createRegistry } from '../../server/server.ts';
import { Session } from '../../session/session.ts';
import { archOfMachine } from '../../vm/arch.ts';
import { createLinuxVm } from '../../vm/create.ts';
import { pushVm } from '../../vm/push.ts';
import { setVm } from '../../vm/set.ts';
import { humanBytes } from '../render/quantity.ts';
import { userAgent } from '../session/session.ts';
import { printableLine } from '../terminal/printable.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { type DemoDisk, fillDemoDisk } from './demo-disk.ts';
import { seconds, type Timed, timeBars } from './time-bars.ts';

const MIB = 1024 ** 2;
const VM = LocalName.parse('demo');
/** What the guest says (scripts/demo-guest/guest.s). */
const READY = 'guest: ready';
/** It is given up after so many milliseconds: an emulated one needs some ten seconds. */
const MOST_START_MS = 180_000;

/** How much is shown, and how fast the network is made. */
export interface LazyDemoSize extends DemoDisk {
  readonly bytesPerSecond: number;
}

/** A twentieth of the disk is read, as a Debian guest reads of its own until SSH answers (docs/guide/on-demand.md). */
const SIZE: LazyDemoSize = { bytes: 256 * MIB, places: 13, bytesPerSecond: 12_500_000 };

/**
 * Shows what it is worth to begin before an image is here, with real parts: a registry on a port, a network that is
 * made slow, and a guest of a few hundred bytes that QEMU starts twice, once when the image was pulled and once before.
 * The guest reads here and there on its disk, compares the sum with what it should be, and says that it is ready.
 * Leaves nothing behind.
 *
 * @throws TartletError `USAGE` on other systems than Linux, `HOST_LACKS` without QEMU, its firmware or `qemu-img`.
 */
export async function runLazyDemo(terminal: Terminal, size: LazyDemoSize = SIZE): Promise<number> {
  await requireParts(terminal);
  const directory = await mkdtemp(path.join(os.tmpdir(), 'tartlet-demo-'));
  const demo = new LazyDemo(terminal, directory, size);
  try {
    await demo.run();
    return 0;
  } finally {
    await demo.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function requireParts({ platform, environment }: Terminal): Promise<void> {
  if (platform !== 'linux') throw new TartletError('USAGE', 'only on Linux a VM begins before its disk is here');
  const searchPath = environment['PATH'] ?? '';
  await findQemu('amd64', searchPath);
  if ((await findProgram(searchPath, 'qemu-img')) !== undefined) return;
  throw new TartletError('HOST_LACKS', 'a VM begins before its disk is here by qemu-img, which is not installed', {
    next: { kind: 'install-qemu-img' },
  });
}

class LazyDemo {
  readonly #terminal: Terminal;
  readonly #directory: string;
  readonly #size: LazyDemoSize;
  readonly #registry: ReturnType<typeof createRegistry>;
  #hasToldEmulated = false;

  constructor(terminal: Terminal, directory: string, size: LazyDemoSize) {
    this.#terminal = terminal;
    this.#directory = directory;
    this.#size = size;
    this.#registry = createRegistry({
      dataDirectory: `${directory}/registry`,
      listen: { host: '127.0.0.1', port: 0 },
    });
  }

  async run(): Promise<void> {
    const { port } = await this.#registry.listen();
    const rate = `${humanBytes(this.#size.bytesPerSecond, 1)}/s`;
    this.#say(`1. a registry listens on 127.0.0.1:${port}, behind a network of ${rate}`);
    const image = RemoteName.parse(`127.0.0.1:${port}/demo/vm:lazy`);
    await this.#publish(image);
    const whole = await this.#pullThenRun(image);
    const lazy = await this.#runBefore(image);
    const ways = [whole, lazy];
    for (const line of ['', ...timeBars(ways, this.#terminal.stdout.columns), '']) this.#say(line);
    const [late, soon] = ways.map(({ fetchMs, startMs }) => fetchMs + startMs) as [number, number];
    this.#say(
      `done: the guest was ready in ${(soon / late).toFixed(2)} of the time, and every byte that it read was verified`,
    );
  }

  async close(): Promise<void> {
    await this.#registry.close();
  }

  async #publish(image: RemoteName): Promise<void> {
    const { bytes } = this.#size;
    const publisher = this.#session('publisher', undefined);
    await createLinuxVm(publisher, VM, { diskBytes: bytes, arch: 'amd64' });
    await setVm(publisher, VM, { cpuCount: 1, memoryBytes: 512 * MIB });
    const read = await fillDemoDisk(`${publisher.vms.pathOf(VM)}/disk.img`, this.#size);
    await pushVm(publisher, VM.text, [image], { pieces: true });
    await publisher.vms.delete(VM);
    this.#say(
      `2. pushed an image of ${humanBytes(bytes)}, of which its guest reads ${humanBytes(read)} here and there`,
    );
  }

  async #pullThenRun(image: RemoteName): Promise<Timed> {
    const session = this.#session('whole', this.#size.bytesPerSecond);
    const begun = performance.now();
    await cloneOnDemand(session, image.toString(), VM, { lazy: 'never' });
    const fetchMs = performance.now() - begun;
    this.#say(`3. pulled it, and made a VM of it: ${seconds(fetchMs)} s`);
    const startMs = await this.#start(session);
    this.#say(`4. started the VM: its guest was ready after ${seconds(startMs)} s`);
    await rm(session.home.root, { recursive: true, force: true });
    return { label: 'pull, then run', fetchMs, startMs };
  }

  async #runBefore(image: RemoteName): Promise<Timed> {
    const session = this.#session('lazy', this.#size.bytesPerSecond);
    const begun = performance.now();
    await cloneOnDemand(session, image.toString(), VM, { lazy: 'always' });
    const fetchMs = performance.now() - begun;
    const startMs = await this.#start(session);
    const readyMs = fetchMs + startMs;
    this.#say(`5. started a VM before the image was here: its guest was ready after ${seconds(readyMs)} s`);
    return { label: 'lazy', fetchMs, startMs };
  }

  /** @returns milliseconds until the guest, which turns itself off then, was ready. @throws TartletError `GUEST_*` */
  async #start(session: Session): Promise<number> {
    const { machine, uid } = this.#terminal;
    const begun = performance.now();
    const own = { pid: process.pid, isRoot: uid === 0, arch: archOfMachine(machine) };
    const onRunEvent = (event: RunEvent): void => this.#hear(event);
    const vm = await startVm(session, VM, own, { allowEmulation: true, onRunEvent }).catch((error: unknown) => {
      // Interrupted: that the guest ended is no news then.
      session.signal.throwIfAborted();
      throw error;
    });
    const late = setTimeout(() => {
      for (const ended of [vm.stop(), vm.stop()]) ended.catch(() => undefined);
    }, MOST_START_MS);
    try {
      await vm.ended;
    } finally {
      clearTimeout(late);
    }
    const readyMs = performance.now() - begun;
    session.signal.throwIfAborted();
    if ((await serialLog(session)).includes(READY)) return readyMs;
    throw new TartletError('GUEST_FAILED', 'the guest of the demo did not become ready', {
      next: { kind: 'in-words', words: 'look at what doctor --host says of this machine' },
    });
  }

  #hear(event: RunEvent): void {
    if (event.kind !== 'emulated' || this.#hasToldEmulated) return;
    this.#hasToldEmulated = true;
    this.#say('   the guest is emulated here, which makes both starts longer (doctor --host says why)');
  }

  #session(home: string, limitRate: number | undefined): Session {
    const { platform, signal, environment } = this.#terminal;
    return new Session({
      home: new Home(`${this.#directory}/${home}`),
      platform,
      signal,
      // Neither proxies nor mirrors of this machine.
      environment: { PATH: environment['PATH'] },
      mirrors: 'off',
      userAgent: userAgent(this.#terminal),
      limitRate,
    });
  }

  #say(text: string): void {
    this.#terminal.stdout.write(printableLine(text));
  }
}

async function serialLog(session: Session): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of readSerialLog(session, VM, { former: false, follow: false })) parts.push(part);
  return Buffer.concat(parts).toString('latin1');
}
