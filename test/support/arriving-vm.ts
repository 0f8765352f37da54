import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { expect, onTestFinished } from 'vitest';
import type { RunningMachine } from '../../src/hypervisor/hypervisor.ts';
import { cloneOnDemand } from '../../src/lazy-disk/clone-on-demand.ts';
import { openArrival } from '../../src/lazy-disk/open-arrival.ts';
import { LocalName } from '../../src/names/local-name.ts';
import type { DiskArrival } from '../../src/run/disk-arrival.ts';
import type { Session } from '../../src/session/session.ts';
import { temporaryDirectory } from './directory.ts';
import { freshSession } from './home.ts';
import { NbdClient } from './nbd-client.ts';

/** Makes the overlay that it is asked for, of nothing but the beginning of its header: nothing here writes to the disk. */
const QEMU_IMG = `#!${process.execPath}
const [file, bytes] = process.argv.slice(6);
const header = Buffer.alloc(104);
header.write('QFI\\xfb', 'latin1');
header.writeUInt32BE(3, 4);
header.writeBigUInt64BE(BigInt(bytes), 24);
require('node:fs').writeFileSync(file, header);
`;

/** A session on Linux that has what makes overlays. */
export function sessionWithQemuImg(): Session {
  const programs = `${temporaryDirectory()}/programs`;
  mkdirSync(programs);
  writeFileSync(`${programs}/qemu-img`, QEMU_IMG);
  chmodSync(`${programs}/qemu-img`, 0o755);
  return freshSession({ environment: { PATH: programs }, platform: 'linux' });
}

/** A VM that was cloned without its disk, and its runs, without a guest: the test reads in its place. */
export class ArrivingVm {
  readonly directory: string;
  readonly notes: string[] = [];
  readonly #session: Session;
  readonly #name: string;

  private constructor(session: Session, name: string) {
    this.#session = session;
    this.#name = name;
    this.directory = session.vms.pathOf(LocalName.parse(name));
  }

  static async clone(session: Session, image: string, name = 'ci'): Promise<ArrivingVm> {
    const made = await cloneOnDemand(session, image, LocalName.parse(name), { lazy: 'always' });
    expect(made.copied).toBe('lazy');
    return new ArrivingVm(session, name);
  }

  /** Begins a run. */
  async begin(): Promise<DiskArrival> {
    const arrival = await openArrival(this.#session, { name: this.#name, directory: this.directory }, (event) => {
      if (event.kind === 'note' || event.kind === 'disk-waits') this.notes.push(event.text);
    });
    if (arrival === undefined) throw new Error('the disk is whole');
    onTestFinished(async () => arrival.close());
    return arrival;
  }

  /** The guest's end of its disk. */
  async guest(): Promise<NbdClient> {
    const client = await NbdClient.at(`${this.directory}/lazy.sock`);
    onTestFinished(() => void client.stream.destroy());
    await client.choose('', { structured: false });
    return client;
  }
}

/** Where the guest wrote nothing, its own disk is a copy of the image. */
export const MACHINE_THAT_WROTE_NOTHING = {
  replaceDisk: async (_: string, commit: () => Promise<void>) => commit().then(() => 'replaced' as const),
} as unknown as RunningMachine;
