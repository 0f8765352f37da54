import { isIP, type LookupFunction } from 'node:net';
import { TartletError } from '../../../errors.ts';
import { type AddressClass, classOfAddress } from '../../../names/ip-address.ts';
import { hostAndPort } from '../../request/network-error.ts';

/**
 * Names `host` or `host:port`, separated by commas or blanks: places on internal addresses that a registry may lead to.
 */
const ALLOWED_VARIABLE = 'TARTLET_INTERNAL_HOSTS';

const WHERE: Readonly<Record<Exclude<AddressClass, 'public'>, string>> = {
  private: 'inside a private network',
  'link-local': 'on the local link',
  loopback: 'on this machine',
  service: "a cloud's own service",
  'no-host': 'no machine',
};

export interface AddressGuardOptions {
  /** The base URL of the registry that the user named. */
  readonly registry: () => Promise<URL>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where another client of the same undertaking reached the registry. Default: nowhere yet. */
  readonly networks?: readonly AddressClass[] | undefined;
  /** Whether the registry is a stranger's choice as well, and has to be public. Default: the user named it. */
  readonly onlyPublic?: boolean | undefined;
}

/**
 * Decides which addresses may be connected to, so that a registry cannot make us speak to what only we can reach
 * (reliability S9): redirects, token services and upload addresses are its text. The registry itself may be anywhere,
 * because the user named it. Any other place must be public, or on a network of the kind the registry was reached on: a
 * private registry may store blobs inside, one on this machine may have its token service beside it. Asked for every
 * address of every connection, and the address that was asked about is the one that is dialled: a name that resolves
 * differently the second time gains nothing.
 */
export class AddressGuard {
  readonly #options: AddressGuardOptions;
  readonly #allowed: ReadonlySet<string>;
  /**
   * Where the registry was reached. Learnt from connections that were established, not from what a name server claims.
   */
  readonly #reached: Set<AddressClass>;

  constructor(options: AddressGuardOptions) {
    this.#options = options;
    this.#reached = new Set(options.networks);
    this.#allowed = new Set((options.environment[ALLOWED_VARIABLE] ?? '').toLowerCase().split(/[\s,]+/));
  }

  /** Whether `target` is the registry that the user named, on its very port. */
  async isRegistry(target: URL): Promise<boolean> {
    if (this.#options.onlyPublic === true) return false;
    return hostAndPort(target) === hostAndPort(await this.#options.registry());
  }

  /** The kinds of networks that the registry was reached on. */
  get networks(): readonly AddressClass[] {
    return [...this.#reached];
  }

  /** Told of the address over which the registry was reached. */
  reached(address: string): void {
    this.#reached.add(classOfAddress(address));
  }

  /**
   * `next`, without the addresses that `target` must not have. A host that is an address has to be checked with
   * {@link check}.
   */
  lookup(target: URL, next: LookupFunction): LookupFunction {
    return filtered(
      next,
      (address) => this.#mayDial(target, address),
      (address) => refused(target, address),
    );
  }

  /**
   * `next` for the registry itself where no certificate says that it is the same one as before: a server that answers
   * for its name could turn our next request, whose path and body are the registry's text, on what only we can reach
   * (DNS rebinding). So a registry that was reached on one kind of network is not followed to another, but to public
   * addresses. Not single addresses are kept: names with several that take turns are usual, and a machine may come back
   * with another one after a while (N56).
   */
  registryLookup(target: URL, next: LookupFunction): LookupFunction {
    const mayFollow = (address: string): boolean =>
      this.#reached.size === 0 || this.#reached.has(classOfAddress(address)) || this.#mayDial(target, address);
    return filtered(next, mayFollow, (address) => moved(target, address));
  }

  /** @throws TartletError `REDIRECT_REFUSED` when `target` is an address that must not be dialled. */
  check(target: URL): void {
    const address = target.hostname.replace(/^\[|\]$/g, '');
    if (isIP(address) !== 0 && !this.#mayDial(target, address)) throw refused(target, address);
  }

  #mayDial(target: URL, address: string): boolean {
    if (this.#allowed.has(target.hostname) || this.#allowed.has(hostAndPort(target))) return true;
    const kind = classOfAddress(address);
    switch (kind) {
      case 'public':
        return true;
      case 'private':
      case 'link-local':
      case 'loopback':
        return this.#reached.has(kind);
      case 'service':
      case 'no-host':
        return false;
    }
  }
}

/** `next`, without the addresses that are no good; when none is left, an error about the first. */
function filtered(
  next: LookupFunction,
  isGood: (address: string) => boolean,
  refusal: (address: string) => TartletError,
): LookupFunction {
  return (hostname, options, callback) => {
    next(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, []);
        return;
      }
      const addresses = Array.isArray(found) ? found : [{ address: found, family: isIP(found) }];
      const good = addresses.filter(({ address }) => isGood(address));
      const [first] = good;
      if (first === undefined) callback(refusal(addresses[0]?.address ?? ''), []);
      else if (options.all === true) callback(null, good);
      else callback(null, first.address, first.family);
    });
  };
}

function moved(target: URL, address: string): TartletError {
  const where = hostAndPort(target);
  const kind = classOfAddress(address);
  const what = kind === 'public' ? 'another network' : WHERE[kind];
  return new TartletError(
    'REDIRECT_REFUSED',
    `the name ${target.hostname} leads elsewhere than before, to ${address}, which is ${what}: not connected`,
    {
      subject: where,
      retryable: false,
      next: { kind: 'allow-moved-host', host: where },
    },
  );
}

function refused(target: URL, address: string): TartletError {
  const where = hostAndPort(target);
  const kind = classOfAddress(address);
  const shown = where.includes(address) ? '' : ` (${address})`;
  const what = kind === 'public' ? 'not to be connected to' : WHERE[kind];
  return new TartletError(
    'REDIRECT_REFUSED',
    `the registry leads to ${where}${shown}, which is ${what}: not connected`,
    {
      subject: where,
      retryable: false,
      next: { kind: 'allow-host', host: where },
    },
  );
}
