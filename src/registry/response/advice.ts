import type { Access, ResponseStart } from '../request/request.ts';
import type { Hint } from '../../hint.ts';

/** What a refusal said. */
export interface Said {
  /** OCI error codes. */
  readonly codes: readonly string[];
  /** One line for people, cleaned. */
  readonly line: string;
  /** Whether it is a web page: not the registry speaks, but a server before it. */
  readonly isPage: boolean;
}

/** What people are told whose place in the registry is used up; each registry has words of its own. */
const QUOTA = /\bquotas?\b|\b(?:storage|disk|space|plan|spending) limit|\bbilling\b|out of (?:storage|space|disk)/i;

/**
 * The next step that follows from what was said, where that is something else than what its status alone says;
 * undefined otherwise.
 * @param action what the request was for.
 */
export function adviceFor(
  { status, url }: ResponseStart,
  { codes, line, isPage }: Said,
  action: Access['action'],
): Hint | undefined {
  if (status === 413) {
    return { kind: 'raise-request-limit', host: url.host };
  }
  if (status === 507 || (status >= 400 && status < 500 && QUOTA.test(line))) {
    return { kind: 'make-room-on-registry', host: url.host };
  }
  if (status === 403 && isPage) {
    return { kind: 'ask-firewall-operator', host: url.host };
  }
  if (action === 'push' && status === 404 && (codes.includes('NAME_UNKNOWN') || codes.includes('REPOSITORY_UNKNOWN'))) {
    return { kind: 'create-repository', host: url.host };
  }
  return undefined;
}
