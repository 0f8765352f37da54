import type { MetricsReaders } from '../../server/settings/beside-api.ts';
import type { RegistryOptions } from '../../server/settings/options.ts';
import type { LogFormat } from './log-line.ts';

/** What `serve` was told about being looked at. */
export interface ObservingOptions {
  readonly logFormat: LogFormat;
  readonly metrics: MetricsReaders;
}

/** The same for the registry. */
export function observing({ metrics }: ObservingOptions): Pick<RegistryOptions, 'metrics'> {
  return { metrics };
}
