import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isLocalhost } from '../../../names/ip-address.ts';

/**
 * Turns names into addresses as `next` (default: the system) does, except for `localhost` and its subdomains: they are
 * this machine, whatever a name server says (reliability §3.2).
 */
export function registryLookup(next: LookupFunction = systemLookup): LookupFunction {
  return (hostname, options, callback) => {
    if (!isLocalhost(hostname)) {
      next(hostname, options, callback);
      return;
    }
    const wanted = options.family === undefined || options.family === 0 ? undefined : options.family;
    const addresses = [
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ].filter(({ family }) => wanted === undefined || wanted === family || wanted === `IPv${family}`);
    if (options.all === true) process.nextTick(callback, null, addresses);
    else process.nextTick(callback, null, addresses[0]?.address ?? '127.0.0.1', addresses[0]?.family ?? 4);
  };
}
