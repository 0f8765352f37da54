import type { LocalContent } from '../contract/local-content.ts';
import type { Memory } from './image-reader.ts';

/** Who looks at a page, at what, and when. */
export interface Viewer {
  /** Shown, where there was a login. */
  readonly user: string | undefined;
  /** Whether a repository may be read, by the rules of the API. */
  readonly mayRead: (repository: string) => boolean;
  readonly content: LocalContent;
  readonly query: URLSearchParams;
  /** The name that the browser knows this server by, with its port. */
  readonly host: string;
  /** Whether the browser came by TLS, as far as can be told. */
  readonly isSecure: boolean;
  readonly now: Date;
  readonly memory: Memory;
}
