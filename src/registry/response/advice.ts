import type { Access, ResponseStart } from '../request/request.ts';

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
): string | undefined {
  if (status === 413) {
    return `let the proxy in front of ${url.host} take larger requests (nginx: client_max_body_size 0)`;
  }
  if (status === 507 || (status >= 400 && status < 500 && QUOTA.test(line))) {
    return `make room on ${url.host}: delete images there, or ask for a larger quota`;
  }
  if (status === 403 && isPage) {
    return `a firewall or a proxy answers in place of the registry: ask its operator to let ${url.host} through`;
  }
  if (action === 'push' && status === 404 && (codes.includes('NAME_UNKNOWN') || codes.includes('REPOSITORY_UNKNOWN'))) {
    return `create the repository on ${url.host} first, or check its spelling: this registry makes none by itself`;
  }
  return undefined;
}
