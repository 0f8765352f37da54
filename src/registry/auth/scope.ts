import type { Access } from '../request/request.ts';

const ACTIONS = { pull: 'pull', push: 'pull,push', delete: 'pull,push,delete' } as const;

/** The scopes that an access needs, as the token protocol writes them. */
function scopesOf({ repository, catalog, action, mountFrom }: Access): string[] {
  if (catalog === true) return ['registry:catalog:*'];
  if (repository === undefined) return [];
  const own = `repository:${repository}:${ACTIONS[action]}`;
  return mountFrom === undefined ? [own] : [own, `repository:${mountFrom}:pull`];
}

/**
 * What to ask a token for: the scope of the challenge, where ours names the same repository with the actions of both,
 * so that one token lasts for a whole push and not only for its first request. Without a scope in the challenge, ours
 * (reliability Q23).
 */
export function scopesToAsk(challenged: string | undefined, access: Access): string[] {
  const theirs = (challenged ?? '').split(' ').filter((scope) => scope !== '');
  if (theirs.length === 0) return scopesOf(access);
  const wanted = new Map<string, Set<string>>();
  const own = scopesOf(access);
  for (const scope of [...theirs, ...own]) {
    const cut = scope.lastIndexOf(':');
    const resource = scope.slice(0, Math.max(cut, 0));
    // A registry may know the repository by another name (`library/…`); then its own word counts. A mount's second
    // repository is always ours to name.
    if (own[0] === scope && !theirs.some((their) => their.startsWith(`${resource}:`))) continue;
    const actions = wanted.get(resource) ?? new Set<string>();
    for (const action of scope.slice(cut + 1).split(',')) actions.add(action);
    wanted.set(resource, actions);
  }
  return [...wanted].map(([resource, actions]) =>
    resource === '' ? [...actions].join(',') : `${resource}:${[...actions].join(',')}`,
  );
}

/** The name under which a token for an access is kept. */
export function accessKey(access: Access): string {
  return scopesOf(access).join(' ');
}
