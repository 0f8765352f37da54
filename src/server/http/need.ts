import type { IncomingMessage } from 'node:http';
import { unreachable } from '../../errors.ts';
import { isLoopbackHost } from '../../names/ip-address.ts';
import type { Action, RequiredAccess } from '../access/access.ts';
import type { MetricsReaders } from '../settings/beside-api.ts';
import type { Route } from './router.ts';

/** What proxies add to a request that they pass on, so that its sender is not on this machine whatever its address. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'via'];

/**
 * What a request to a route takes; undefined for what is given to everybody, a wrong login included.
 * @param readers who may have the metrics.
 */
export function needOf(route: Route, request: IncomingMessage, readers: MetricsReaders): RequiredAccess | undefined {
  const { method = '' } = request;
  switch (route.kind) {
    case 'health':
    case 'page-file':
    // An address alone is worth nothing: who has the key of the fleet, they find out with each other.
    case 'peers':
      return undefined;
    case 'page':
      // As the API has it: a client that may not list repositories there does not see them here.
      if (route.view === 'repositories') return { kind: 'catalog' };
      return { kind: 'repository', repository: route.repository.text, actions: ['pull'] };
    case 'metrics':
      // Where there are none, everybody hears so.
      if (readers === 'all' || readers === 'none') return undefined;
      return readers === 'local' && isLocal(request) ? undefined : { kind: 'login' };
    case 'base':
      return { kind: 'login' };
    case 'catalog':
      return { kind: 'catalog' };
    case 'uploads':
    case 'upload':
      // Also to see and to cancel an upload: its id is known to the client that began it.
      return { kind: 'repository', repository: route.repository.text, actions: ['pull', 'push'] };
    case 'tags':
    case 'referrers':
    case 'blob':
    case 'manifest':
      return { kind: 'repository', repository: route.repository.text, actions: actionsOf(method) };
    default:
      return unreachable(route);
  }
}

function isLocal({ socket, headers }: IncomingMessage): boolean {
  return isLoopbackHost(socket.remoteAddress ?? '') && FORWARDED.every((name) => headers[name] === undefined);
}

function actionsOf(method: string): readonly Action[] {
  if (method === 'GET' || method === 'HEAD') return ['pull'];
  return method === 'DELETE' ? ['delete'] : ['pull', 'push'];
}
