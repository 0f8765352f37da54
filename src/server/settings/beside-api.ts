/**
 * The command that pulls a VM image, for people to copy.
 * @param image its whole name. @param isPlainHttp whether it comes from another machine without TLS.
 */
export type PullCommand = (image: string, isPlainHttp: boolean) => string;

/** The web page of a registry, at `/`. */
export interface PageOptions {
  /** Default: only the name of the image is shown. */
  readonly pullCommand?: PullCommand | undefined;
}

/**
 * Who may read the metrics: `local`, clients on this machine without a login and others with one; `users`, those with a
 * login alone; `all`, whatever reaches the registry; `none`, so that there are none. Where no user is known (also by a
 * site cache that leaves logins to its upstreams), `local` and `users` are `all`.
 */
export type MetricsReaders = 'local' | 'users' | 'all' | 'none';
