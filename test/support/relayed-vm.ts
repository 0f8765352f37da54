import { onTestFinished } from 'vitest';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { Session } from '../../src/session/session.ts';
import { ArrivingVm, sessionWithQemuImg } from './arriving-vm.ts';
import type { NbdClient } from './nbd-client.ts';
import { Relay } from './relay.ts';
import { startStaticRegistry, type StaticRegistry } from './static-registry.ts';
import type { TinyImage } from './tart-image.ts';

/** A VM whose disk has still to arrive, by a network that can go away. */
export class RelayedVm {
  readonly relay: Relay;
  readonly registry: StaticRegistry;
  readonly #vm: ArrivingVm;
  readonly #session: Session;
  readonly #name: RemoteName;
  #end: () => Promise<void> = async () => undefined;

  private constructor(
    vm: ArrivingVm,
    session: Session,
    { relay, registry, name }: { readonly relay: Relay; readonly registry: StaticRegistry; readonly name: RemoteName },
  ) {
    this.#vm = vm;
    this.#session = session;
    this.relay = relay;
    this.registry = registry;
    this.#name = name;
  }

  static async make(image: TinyImage): Promise<RelayedVm> {
    const registry = await startStaticRegistry({ latest: image });
    const relay = await Relay.start(Number(registry.address.split(':')[1]));
    onTestFinished(async () => relay.close());
    const session = sessionWithQemuImg();
    const place = `127.0.0.1:${relay.port}/org/vm`;
    const vm = await ArrivingVm.clone(session, `${place}:latest`);
    return new RelayedVm(vm, session, { relay, registry, name: RemoteName.parse(`${place}@${image.digest}`) });
  }

  /** As `run` does it. @returns the guest's end of its disk. */
  async begin(): Promise<NbdClient> {
    const arrival = await this.#vm.begin();
    this.#end = async () => arrival.close();
    return this.#vm.guest();
  }

  /** As `run` does it when it is told to stop. */
  async end(): Promise<void> {
    await this.#end();
  }

  /** Where disks arrive. */
  get staging(): string {
    return this.#session.home.stagingDirectory;
  }

  get notes(): readonly string[] {
    return this.#vm.notes;
  }

  get late(): readonly string[] {
    return this.notes.filter((text) => text.includes('has waited'));
  }

  async isCached(): Promise<boolean> {
    return (await this.#session.images.find(this.#name)) !== undefined;
  }
}
