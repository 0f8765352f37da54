import type { EndpointManner } from '../endpoints/endpoint.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { RegistryRequest } from './request/request.ts';
import { type EndpointOptions, resolveEndpoint } from './transport/connect/endpoint.ts';

/** Where a registry is. */
export interface FoundBase {
  /** The base URL; found out with the first call. Never rejects. */
  find(): Promise<URL>;
  /** What {@link find} gave; undefined as long as it has not. */
  readonly known: URL | undefined;
}

/** @param given a base URL that was found earlier. */
export function baseOf(
  registry: RegistryAddress,
  given: string | undefined,
  { manner, ...options }: Omit<EndpointOptions, 'scheme'> & { readonly manner: EndpointManner | undefined },
): FoundBase {
  let known: URL | undefined;
  let base: Promise<URL> | undefined;
  const find = async (): Promise<URL> => {
    known =
      given === undefined ? await resolveEndpoint(registry, { ...options, scheme: manner?.scheme }) : new URL(given);
    return known;
  };
  return {
    find: async () => {
      base ??= find();
      return base;
    },
    get known() {
      return known;
    },
  };
}

/** What settings want sent to an endpoint goes to no other origin: a redirect leaves it behind (reliability S10). */
export function withHeaders(
  request: RegistryRequest,
  headers: Readonly<Record<string, string>> | undefined,
  origin: string,
): RegistryRequest {
  if (headers === undefined || request.url.origin !== origin) return request;
  return { ...request, headers: { ...headers, ...request.headers } };
}

/** Where the API of a registry begins, as the specification says it. */
const USUAL = { apiPath: '/v2', namespace: undefined };

/** What follows the base URL, for a path below the API that may have a query of its own. */
export function pathBelow(
  path: string,
  { apiPath, namespace }: Pick<EndpointManner, 'apiPath' | 'namespace'> = USUAL,
): string {
  const whole = `${apiPath}/${path}`;
  if (namespace === undefined) return whole;
  return `${whole}${whole.includes('?') ? '&' : '?'}ns=${encodeURIComponent(namespace)}`;
}
