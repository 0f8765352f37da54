import { unreachable } from '../../errors.ts';
import type { Action, RequiredAccess } from '../access/access.ts';
import type { Route } from './router.ts';

/** What a request to a route takes. */
export function needOf(route: Route, method: string): RequiredAccess {
  switch (route.kind) {
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

function actionsOf(method: string): readonly Action[] {
  if (method === 'GET' || method === 'HEAD') return ['pull'];
  return method === 'DELETE' ? ['delete'] : ['pull', 'push'];
}
