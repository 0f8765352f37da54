import type { MetricsReaders, PullCommand } from '../../server/settings/beside-api.ts';
import type { RegistryOptions } from '../../server/settings/options.ts';
import type { LogFormat } from './log-line.ts';

/** What `serve` was told about being looked at. */
export interface ObservingOptions {
  readonly logFormat: LogFormat;
  readonly metrics: MetricsReaders;
  /** False for `--no-page`. */
  readonly page: boolean;
}

/** The same for the registry. @param programName as the user calls the command. */
export function observing(
  { metrics, page }: ObservingOptions,
  programName: string,
): Pick<RegistryOptions, 'metrics' | 'page'> {
  const pullCommand: PullCommand = (image, isPlainHttp) =>
    `${programName} pull ${image}${isPlainHttp ? ' --insecure' : ''}`;
  return { metrics, page: page ? { pullCommand } : undefined };
}
