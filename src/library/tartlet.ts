/*
 * More than 250 lines, because it is the list of what a program can ask for: each method is a few lines and their
 * documentation.
 */
import type { ExportOptions, ExportOutcome, ExportTarget } from '../archive/export.ts';
import type { ImportOptions, ImportOutcome, ImportSource } from '../archive/import.ts';
import type { DoctorReport, DoctorOptions } from '../doctor/run-doctor.ts';
import type { Deleted } from '../home/prune/measured-delete.ts';
import type { PruneReport, PruneRequest } from '../home/prune/prune.ts';
import type { OnDemandOptions, OnDemandOutcome } from '../lazy-disk/clone-on-demand.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';
import type { CopyOptions, CopyOutcome } from '../transfer/copy/copy.ts';
import type { LoginCheck } from '../transfer/login.ts';
import type { PullPreview } from '../transfer/pull/pull-preview.ts';
import type { PullOptions, PullOutcome } from '../transfer/pull/pull.ts';
import type { PushOutcome } from '../transfer/push/push.ts';
import type { CreateFromImageOptions, CreateOptions, CreateOutcome } from '../vm/create.ts';
import type { VmDescription } from '../vm/describe.ts';
import type { Inspection } from '../vm/inspect.ts';
import type { Listed } from '../vm/listing.ts';
import type { PushVmOptions } from '../vm/push.ts';
import type { SetOptions, SetOutcome } from '../vm/set.ts';
import type { StopOutcome } from '../vm/stop.ts';
import type { Peer } from '../peer/peer-server.ts';
import type { ServePeersOptions } from './fleet.ts';
import { type Image, openImage } from './image.ts';
import {
  anyName,
  type ImageName,
  imageName,
  nameText,
  newVmName,
  type RegistryName,
  registryName,
  type VmName,
  vmName,
} from './name.ts';
import type { OperationOptions } from './operation.ts';
import type { ExecVmOptions, GuestResult, RunningVm, RunVmOptions, VmAddressOptions } from './running-vm.ts';
import { Prefetching } from './prefetched-images.ts';
import { RepositoryClient } from './repository-client.ts';
import { Operations, type TartletSettings } from './operations.ts';

/** How long a guest may take to shut down, in milliseconds, as in Tart. */
const STOP_WITHIN_MS = 30_000;

/** A login for a registry. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

/**
 * One home: what the command does, as methods. Made by `openTartlet`.
 *
 * Names are texts or parsed values. Every method rejects with a `TartletError` (a `code`, `facts`, a next step) and
 * with the signal's reason when it is aborted; methods may run at the same time, as several commands may. Nothing here
 * prints or exits.
 */
export class Tartlet extends Prefetching implements AsyncDisposable {
  /** The directory that Tart and Tartlet share, as it was spelled. */
  readonly home: string;
  readonly #settings: TartletSettings;
  readonly #operations: Operations;

  /** @internal `openTartlet` makes it. */
  constructor(settings: TartletSettings) {
    const operations = new Operations(settings);
    super(operations);
    this.home = settings.home.root;
    this.#settings = settings;
    this.#operations = operations;
  }

  /**
   * Pulls an image into the cache. Nothing is visible before all of it is verified; a tag that is cached and has not
   * moved costs one request.
   */
  async pull(image: ImageName, options: PullOptions & OperationOptions = {}): Promise<PullOutcome> {
    return this.#operations.run(options, async (session) => {
      const { pull } = await import('../transfer/pull/pull.ts');
      return pull(session, imageName(image), options);
    });
  }

  /** What a pull would fetch, reuse and need. Changes nothing. */
  async previewPull(image: ImageName, options: PullOptions & OperationOptions = {}): Promise<PullPreview> {
    return this.#operations.run(options, async (session) => {
      const { previewPull } = await import('../transfer/pull/pull-preview.ts');
      return previewPull(session, imageName(image), options);
    });
  }

  /**
   * Pushes a VM, or sends a cached image on as it is, under one or more names.
   *
   * @returns one outcome per repository.
   */
  async push(
    source: VmName | ImageName,
    to: ImageName | readonly [ImageName, ...ImageName[]],
    options: PushVmOptions & OperationOptions = {},
  ): Promise<PushOutcome[]> {
    const [first, ...more] = Array.isArray(to) ? (to as readonly [ImageName, ...ImageName[]]) : [to as ImageName];
    return this.#operations.run(options, async (session) => {
      const { pushVm } = await import('../vm/push.ts');
      return pushVm(session, nameText(source), [imageName(first), ...more.map(imageName)], options);
    });
  }

  /** Copies an image from one registry to another, byte for byte, without touching this disk. */
  async copy(from: ImageName, to: ImageName, options: CopyOptions & OperationOptions = {}): Promise<CopyOutcome> {
    return this.#operations.run(options, async (session) => {
      const { copyImage } = await import('../transfer/copy/copy.ts');
      return copyImage(session, imageName(from), imageName(to), options);
    });
  }

  /**
   * Opens an image to look into its disk: a cached one on this machine, else in its registry, of which only what is
   * read is fetched. Close it, or take it by `await using`.
   */
  async image(image: ImageName, options: { readonly insecure?: boolean } & OperationOptions = {}): Promise<Image> {
    return this.#operations.run(options, async () =>
      openImage(this.#operations.session(options), imageName(image), options.insecure ?? false),
    );
  }

  /**
   * A client for the repository of an image, with the stored logins: manifests, blobs and tags by the distribution
   * protocol. Of the registry in the name, never of a mirror. Close it, or take it by `await using`.
   */
  repository(image: ImageName, options: { readonly insecure?: boolean } = {}): RepositoryClient {
    const name = imageName(image);
    const { environment, credentials, userAgent, onWire, rateLimit } = this.#settings;
    const { registry, repository } = name;
    return new RepositoryClient({
      registry,
      repository,
      environment,
      userAgent,
      onWire,
      limitRate: rateLimit,
      credentials: credentials(name, 'named'),
      insecure: options.insecure,
    });
  }

  /**
   * Makes a VM from an image or another VM. An image that is not cached is pulled; a stopped VM of the name is
   * replaced. With `lazy`, its disk may arrive when the VM runs: the outcome says which it is.
   */
  async clone(
    source: VmName | ImageName,
    name: VmName,
    options: OnDemandOptions & OperationOptions = {},
  ): Promise<OnDemandOutcome> {
    return this.#operations.run(options, async (session) => {
      const { cloneOnDemand } = await import('../lazy-disk/clone-on-demand.ts');
      return cloneOnDemand(session, nameText(source), newVmName(name), options);
    });
  }

  /** Local VMs, then cached images, each in byte order of their names. */
  async list(options: { readonly source?: 'local' | 'oci' } & OperationOptions = {}): Promise<Listed[]> {
    return this.#operations.run(options, async (session) => {
      const { listVms } = await import('../vm/listing.ts');
      return listVms(session, options.source);
    });
  }

  /** What is known about a VM, a cached image, or with `remote` an image in its registry. */
  async inspect(
    name: VmName | ImageName,
    options: { readonly remote?: boolean; readonly insecure?: boolean } & OperationOptions = {},
  ): Promise<Inspection> {
    const { remote = false, insecure = false } = options;
    return this.#operations.run(options, async (session) => {
      const { inspect } = await import('../vm/inspect.ts');
      return inspect(session, nameText(name), { where: remote ? 'remote' : 'here', insecure });
    });
  }

  /** The name with the digest that its tag leads to in the cache. @throws TartletError `VM_NOT_FOUND` */
  async fqn(image: ImageName, options: OperationOptions = {}): Promise<RemoteName> {
    return this.#operations.run(options, async (session) => {
      const name = imageName(image);
      return name.withDigest((await session.images.require(name, 'show')).digest);
    });
  }

  /** The configuration of a VM. */
  async get(name: VmName, options: OperationOptions = {}): Promise<VmDescription> {
    return this.#operations.run(options, async (session) => {
      const { describeVm } = await import('../vm/describe.ts');
      return describeVm(session, vmName(name));
    });
  }

  /** Changes the configuration or the disk of a VM. */
  async set(name: VmName, options: SetOptions & OperationOptions): Promise<SetOutcome> {
    return this.#operations.run(options, async (session) => {
      const { setVm } = await import('../vm/set.ts');
      return setVm(session, vmName(name), options);
    });
  }

  /** Makes a VM for Linux with an empty disk. A stopped VM of the name is replaced. */
  async create(name: VmName, options: CreateOptions & OperationOptions): Promise<CreateOutcome> {
    return this.#operations.run(options, async (session) => {
      const { createLinuxVm } = await import('../vm/create.ts');
      return createLinuxVm(session, newVmName(name), options);
    });
  }

  /**
   * Makes a VM from a cloud image, a file or one of the web. A stopped VM of the name is replaced.
   * @throws TartletError `MEDIA_UNSUPPORTED` for what is no such image, `SIZE_MISMATCH` for one that is larger than the
   * disk shall be, `DIGEST_MISMATCH`, `HOST_LACKS` where a program is missing, `USAGE` where the architecture is not
   * clear
   */
  async createFromImage(name: VmName, options: CreateFromImageOptions & OperationOptions): Promise<CreateOutcome> {
    return this.#operations.run(options, async (session) => {
      const { createVmFromImage } = await import('../vm/create.ts');
      return createVmFromImage(session, newVmName(name), options);
    });
  }

  /** Gives a VM another name. @throws TartletError `VM_EXISTS`, `VM_RUNNING` */
  async rename(from: VmName, to: VmName, options: OperationOptions = {}): Promise<void> {
    return this.#operations.run(options, async (session) => session.vms.rename(vmName(from), newVmName(to)));
  }

  /** Deletes a VM, a cached image or a tag. A running VM is refused. */
  async delete(name: VmName | ImageName, options: OperationOptions = {}): Promise<Deleted> {
    return this.#operations.run(options, async (session) => {
      const { deleteMeasured } = await import('../home/prune/measured-delete.ts');
      return deleteMeasured(session, anyName(name));
    });
  }

  /** Keeps a cached image from being pruned. @returns whether it was not pinned before. */
  async pin(image: ImageName, options: OperationOptions = {}): Promise<boolean> {
    return this.#pin(image, true, options);
  }

  /** Lets a cached image be pruned again. @returns whether it was pinned before. */
  async unpin(image: ImageName, options: OperationOptions = {}): Promise<boolean> {
    return this.#pin(image, false, options);
  }

  /** Deletes images or VMs that were used least recently, by age, by size, or until there is room. */
  async prune(request: PruneRequest, options: OperationOptions = {}): Promise<PruneReport> {
    return this.#operations.run(options, async (session) => {
      const { prune } = await import('../home/prune/prune.ts');
      return prune(session, request);
    });
  }

  /** Checks the home, and repairs it with `fix`. Nothing is deleted that cannot be fetched again. */
  async doctor(options: DoctorOptions & OperationOptions = {}): Promise<DoctorReport> {
    const work = async (session: Session): Promise<DoctorReport> => {
      const [{ runDoctor }, { knownPorts }] = await Promise.all([
        import('../doctor/run-doctor.ts'),
        import('../credentials/known-registry.ts'),
      ]);
      const ports = async (host: string) => knownPorts(host, this.#settings.credentialSettings);
      return runDoctor(session, { knownPorts: ports, ...options });
    };
    return this.#operations.run(options, work, 'untouched');
  }

  /** Writes a VM or a cached image into an archive (an OCI image layout): to a path, or to a stream. */
  async export(
    source: VmName | ImageName,
    to: string | ExportTarget,
    options: ExportOptions & OperationOptions = {},
  ): Promise<ExportOutcome> {
    return this.#operations.run(options, async (session) => {
      const { exportVm } = await import('../archive/export.ts');
      return exportVm(session, nameText(source), typeof to === 'string' ? { kind: 'path', path: to } : to, options);
    });
  }

  /**
   * Makes a VM from an archive that {@link export}, `skopeo` or another tool wrote. A stopped VM of the name is
   * replaced.
   */
  async import(
    from: string | ImportSource,
    name: VmName,
    options: ImportOptions & OperationOptions = {},
  ): Promise<ImportOutcome> {
    return this.#operations.run(options, async (session) => {
      const { importVm } = await import('../archive/import.ts');
      const source: ImportSource = typeof from === 'string' ? { kind: 'path', path: from } : from;
      return importVm(session, source, newVmName(name), options);
    });
  }

  /**
   * Runs a VM in this process, with QEMU on Linux. Resolves when its machine runs; wait for its guest by `ip`. The VM
   * ends with this process, with {@link close}, and with the signal.
   */
  async run(name: VmName, options: RunVmOptions & OperationOptions = {}): Promise<RunningVm> {
    return this.#operations.run(options, async (session) => {
      const { startVm } = await import('./running-vm.ts');
      const vm = await startVm(session, vmName(name), this.#settings.process, options);
      this.#operations.track(vm.ended);
      return vm;
    });
  }

  /**
   * Gives what is cached here to other hosts of a fleet. Ends when it is closed, with {@link close}, and with the
   * signal.
   *
   * @throws TartletError `CONFIG_INVALID` for a token that is too short, `NET_CONNECT` for an address that is taken.
   */
  async servePeers(options: ServePeersOptions & OperationOptions): Promise<Peer> {
    return this.#operations.run(options, async (session) => (await import('./fleet.ts')).answerPeers(session, options));
  }

  /** The IPv4 address at which the guest of a running VM answers. @throws TartletError `GUEST_UNREACHABLE` */
  async ip(name: VmName, options: VmAddressOptions & OperationOptions = {}): Promise<string> {
    return this.#operations.run(options, async (session) => {
      const { vmAddress } = await import('./running-vm.ts');
      return vmAddress(session, vmName(name), options);
    });
  }

  /** Runs a command in a running VM, by the agent in its guest, and gathers what it writes. */
  async exec(
    name: VmName,
    words: readonly [string, ...string[]],
    options: ExecVmOptions & OperationOptions = {},
  ): Promise<GuestResult> {
    return this.#operations.run(options, async (session) => {
      const { execGathered } = await import('./running-vm.ts');
      return execGathered(session, vmName(name), words, options);
    });
  }

  /**
   * Asks the process that runs a VM to write its memory to disk and to end; returns at once, as Tart's command does.
   */
  async suspend(name: VmName, options: OperationOptions = {}): Promise<void> {
    return this.#operations.run(options, async (session) => {
      const { suspendVm } = await import('../run/suspend.ts');
      return suspendVm(session, vmName(name));
    });
  }

  /** Stops a running VM within `timeoutMs` milliseconds (default 30 s), or drops the saved state of a suspended one. */
  async stop(name: VmName, options: { readonly timeoutMs?: number } & OperationOptions = {}): Promise<StopOutcome> {
    return this.#operations.run(options, async (session) => {
      const { stopVm } = await import('../vm/stop.ts');
      return stopVm(session, vmName(name), { timeoutMs: options.timeoutMs ?? STOP_WITHIN_MS });
    });
  }

  /**
   * Asks a registry whether it takes a login, and stores it where Docker and Podman look for it.
   *
   * @returns whether the registry was satisfied, or did not ask.
   * @throws TartletError `AUTH_DENIED`; nothing is stored then.
   */
  async login(
    registry: RegistryName,
    login: Login,
    options: { readonly insecure?: boolean } & OperationOptions = {},
  ): Promise<LoginCheck> {
    const address = registryName(registry);
    const { environment, credentialSettings, userAgent = 'Tartlet' } = this.#settings;
    const { insecure = false } = options;
    return this.#operations.run(
      options,
      async ({ signal }) => {
        const [{ checkLogin }, { storeCredential }] = await Promise.all([
          import('../transfer/login.ts'),
          import('../credentials/credential-store.ts'),
        ]);
        const check = await checkLogin({ registry: address, ...login, insecure, environment, userAgent, signal });
        await storeCredential(address, { kind: 'password', ...login }, credentialSettings, signal);
        return check;
      },
      'untouched',
    );
  }

  /** Removes the stored login for a registry. @returns whether there was one. */
  async logout(registry: RegistryName, options: OperationOptions = {}): Promise<boolean> {
    return this.#operations.run(
      options,
      async ({ signal }) => {
        const { eraseCredential } = await import('../credentials/credential-store.ts');
        const { erased } = await eraseCredential(registryName(registry), this.#settings.credentialSettings, signal);
        return erased.length > 0;
      },
      'untouched',
    );
  }

  /** Ends what is under way, and waits until it has. */
  async close(): Promise<void> {
    await this.#operations.close();
  }

  /** As {@link close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #pin(image: ImageName, pinned: boolean, options: OperationOptions): Promise<boolean> {
    return this.#operations.run(options, async (session) => {
      const { pinImage } = await import('../home/images/pin.ts');
      return (await pinImage(session, imageName(image), pinned)).changed;
    });
  }
}
