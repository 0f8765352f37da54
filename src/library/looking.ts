import type { BootOrderOptions, KnownBootOrder, PublishedBootOrder } from '../lazy-disk/known-order.ts';
import type { Session } from '../session/session.ts';
import type { RemoteListing, RemoteListOptions } from '../transfer/remote-listing.ts';
import type { DiskUsage } from '../usage/disk-usage.ts';
import { type ImageName, imageName, type RegistryName, registryName } from './name.ts';
import type { OperationOptions } from './operation.ts';
import type { Operations } from './operations.ts';

/** What registries have, and what of it takes room or comes first here: methods of `Tartlet`. */
export class Looking {
  readonly #operations: Operations;

  /** @internal `openTartlet` makes it. */
  constructor(operations: Operations) {
    this.#operations = operations;
  }

  /** The tags of a repository in its registry, in its own order, each once. A tag in the name does not matter. */
  async tags(repository: ImageName, options: RemoteListOptions & OperationOptions = {}): Promise<RemoteListing> {
    const work = async (session: Session): Promise<RemoteListing> => {
      const { listRemoteTags } = await import('../transfer/remote-listing.ts');
      return listRemoteTags(session, imageName(repository), options);
    };
    return this.#operations.run(options, work, 'untouched');
  }

  /**
   * The repositories of a registry, likewise. Many registries have no such list.
   * @throws TartletError `NOT_FOUND`, `REG_REJECTED`, `AUTH_REQUIRED` or `AUTH_DENIED` there
   */
  async catalog(registry: RegistryName, options: RemoteListOptions & OperationOptions = {}): Promise<RemoteListing> {
    const work = async (session: Session): Promise<RemoteListing> => {
      const { listRemoteRepositories } = await import('../transfer/remote-listing.ts');
      return listRemoteRepositories(session, registryName(registry), options);
    };
    return this.#operations.run(options, work, 'untouched');
  }

  /** What each image and each VM occupies, alone and with others, and the home in all. */
  async diskUsage(options: OperationOptions = {}): Promise<DiskUsage> {
    return this.#operations.run(options, async (session) => {
      const { diskUsage } = await import('../usage/disk-usage.ts');
      return diskUsage(session);
    });
  }

  /**
   * What guests of an image touch of its disk when they start: as recorded on this machine by a VM that ran before its
   * disk was here, or else as published.
   *
   * @throws TartletError `NOT_FOUND` where there is neither, `MEDIA_UNSUPPORTED` for a stacked image
   */
  async bootOrder(image: ImageName, options: BootOrderOptions & OperationOptions = {}): Promise<KnownBootOrder> {
    return this.#operations.run(options, async (session) => {
      const { knownBootOrder } = await import('../lazy-disk/known-order.ts');
      return knownBootOrder(session, imageName(image), options);
    });
  }

  /**
   * Stores the boot order that was recorded on this machine beside the image in its registry, for other machines.
   *
   * @throws TartletError `NOT_FOUND` where none was recorded, or the registry does not have the image
   */
  async publishBootOrder(
    image: ImageName,
    options: BootOrderOptions & OperationOptions = {},
  ): Promise<PublishedBootOrder> {
    return this.#operations.run(options, async (session) => {
      const { publishKnownOrder } = await import('../lazy-disk/known-order.ts');
      return publishKnownOrder(session, imageName(image), options);
    });
  }
}
