import { Refusal } from '../contract/refusal.ts';
import type { Exchange } from './exchange.ts';

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/**
 * Answers by the method of the request. `HEAD` is answered by the handler of `GET`, which knows not to send a body.
 * @throws Refusal with the methods that there are.
 */
export async function byMethod(
  exchange: Exchange,
  handlers: { readonly [method in Method]?: () => Promise<void> },
): Promise<void> {
  const { method } = exchange.request;
  const handler = Object.entries(handlers).find(([name]) => name === (method === 'HEAD' ? 'GET' : method))?.[1];
  if (handler === undefined) {
    const allowed = Object.keys(handlers).flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name]));
    throw new Refusal(405, 'UNSUPPORTED', 'this method is not for this address', {
      headers: { Allow: allowed.join(', ') },
    });
  }
  await handler();
}
