import { malformed } from './malformed.ts';
import type { RemoteName } from './remote-name.ts';

/**
 * For callers that ask a registry for a name: repositories are lower case there (OCI distribution spec § pulling
 * manifests, `<name>`), and registries answer others in words of their own. The cache may hold such names, because
 * Tart's grammar allows them.
 * @throws TartletError `NAME_MALFORMED` with the lower-case spelling as the next step.
 */
export function refuseUpperCase(name: RemoteName): void {
  const at = name.repository.text.search(/[A-Z]/);
  if (at < 0) return;
  const { text, repositoryName } = name;
  const reference = name.toString().slice(repositoryName.length);
  const lower = `${name.registry.toString()}/${name.repository.text.toLowerCase()}${reference}`;
  throw malformed(text, text.indexOf('/') + 1 + at, 'no registry takes upper case in a repository', {
    kind: 'write-lower-case',
    name: lower,
  });
}
