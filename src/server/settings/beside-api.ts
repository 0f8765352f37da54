/**
 * Who may read the metrics: `local`, clients on this machine without a login and others with one; `users`, those with a
 * login alone; `all`, whatever reaches the registry; `none`, so that there are none. Where no login exists, `local` and
 * `users` are `all`.
 */
export type MetricsReaders = 'local' | 'users' | 'all' | 'none';
