import type { LookupFunction } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { buildConnector } from 'undici';
import type { AddressGuard } from './address-guard.ts';
import { dialProxy, forwardingProxy } from './forward-proxy.ts';
import type { Limits } from '../../request/limits.ts';
import { registryLookup } from './lookup.ts';
import { hostAndPort } from '../../request/network-error.ts';
import { openTunnel, proxyFor } from './proxy.ts';
import type { TrustStore } from './trust.ts';

export interface ConnectorOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly trust: TrustStore;
  readonly limits: Limits;
  readonly userAgent: string;
  /** Which addresses may be dialled. A proxy dials by itself, and by its own rules. Default: all. */
  readonly guard?: AddressGuard;
  /** Turns names into addresses; default: the system's resolver. */
  readonly lookup?: LookupFunction;
}

/**
 * How every connection of a client is made, whatever it is for (reliability S37): direct or through a proxy, with the
 * certificates we trust, each address of a host tried in turn. `build` is undici's own connector factory, handed in
 * because undici is loaded late.
 */
export function registryConnector(options: ConnectorOptions, build: typeof buildConnector): buildConnector.connector {
  const { trust, limits, environment, userAgent, guard } = options;
  const timing = {
    timeout: limits.connectMs,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: limits.connectAddressMs,
  };
  const lookup = registryLookup(options.lookup);
  // One connector per target keeps its TLS context, and with it the sessions that make the next handshake short.
  const connectors = new Map<string, Promise<buildConnector.connector>>();

  async function connectorFor(target: URL): Promise<buildConnector.connector> {
    const proxy = forwardingProxy(target, environment);
    if (proxy !== undefined) {
      const connector = build(await howTo(proxy.url));
      return (_request, callback) => dialProxy(proxy, connector, callback);
    }
    const how = await howTo(target);
    if (guard === undefined) return build(how);
    if (await guard.isRegistry(target)) {
      const isProved = target.protocol === 'https:' && how.rejectUnauthorized; // By its certificate, wherever it is.
      return observed(build(isProved ? how : { ...how, lookup: guard.registryLookup(target, lookup) }), guard);
    }
    return checked(build({ ...how, lookup: guard.lookup(target, lookup) }), target, guard);
  }

  async function howTo(
    target: URL,
  ): Promise<typeof timing & { rejectUnauthorized: boolean; lookup: LookupFunction; secureContext?: SecureContext }> {
    const secureContext = target.protocol === 'https:' ? await trust.contextFor(hostAndPort(target)) : undefined;
    // Said aloud, so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch it off (reliability S38).
    const rejectUnauthorized = trust.mustVerify(target.hostname);
    return { ...timing, rejectUnauthorized, lookup, ...(secureContext === undefined ? {} : { secureContext }) };
  }

  async function connect(request: buildConnector.Options): Promise<[buildConnector.connector, buildConnector.Options]> {
    const target = new URL(`${request.protocol}//${request.host ?? request.hostname}`);
    let connector = connectors.get(target.origin);
    if (connector === undefined) {
      connector = connectorFor(target);
      connectors.set(target.origin, connector);
    }
    const proxy = target.protocol === 'https:' ? proxyFor(target, environment) : undefined;
    if (proxy === undefined) return [await connector, request];
    const { secureContext } = await howTo(proxy.url);
    const httpSocket = await openTunnel(proxy, target, {
      timeoutMs: limits.connectMs,
      userAgent,
      ...(secureContext === undefined ? {} : { secureContext }),
    });
    return [await connector, { ...request, httpSocket }];
  }

  async function establish(request: buildConnector.Options, callback: buildConnector.Callback): Promise<void> {
    try {
      const [connector, resolved] = await connect(request);
      connector(resolved, callback);
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)), null);
    }
  }

  return (request, callback) => void establish(request, callback);
}

/** Notes where the registry was reached; whom a proxy reached for us is unknown. */
function observed(connector: buildConnector.connector, guard: AddressGuard): buildConnector.connector {
  return (request, callback) =>
    connector(request, (...result) => {
      const address = request.httpSocket === undefined ? result[1]?.remoteAddress : undefined;
      if (address !== undefined) guard.reached(address);
      callback(...result);
    });
}

/** Node looks no address up that is one already, so that the guard is asked here. */
function checked(connector: buildConnector.connector, target: URL, guard: AddressGuard): buildConnector.connector {
  return (request, callback) => {
    if (request.httpSocket === undefined) guard.check(target);
    connector(request, callback);
  };
}
