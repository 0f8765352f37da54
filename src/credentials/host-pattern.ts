import type { RegistryAddress } from '../names/registry-address.ts';

/**
 * A key of `credHelpers` that names no registry but is a regular expression over whole hosts, as Tart takes it
 * (tart-cli §4.12).
 */
export interface HostPattern {
  /** Whether the whole of `host` or `host:port` fits. For port 443 both spellings may: they are one registry. */
  readonly fits: (registry: RegistryAddress) => boolean;
}

/** Longer ones were not written by hand. In characters. */
const MAX_LENGTH = 1000;

/**
 * Compiles a pattern in RE2's syntax, which is that of Go, and like Swift's but for look-arounds and back-references:
 * matching takes time in proportion to the host, whatever the pattern (the engine of JavaScript may need ages). Case
 * does not count, as in all hosts. The engine is loaded when the first pattern is met, which most users never have.
 *
 * @returns undefined for a text that is no such pattern.
 */
export async function compileHostPattern(text: string): Promise<HostPattern | undefined> {
  if (text.length > MAX_LENGTH) return undefined;
  const { RE2JS, RE2JSException } = await import('re2js');
  try {
    const pattern = RE2JS.compile(text, RE2JS.CASE_INSENSITIVE);
    return { fits: (registry) => spellings(registry).some((spelling) => pattern.testExact(spelling)) };
  } catch (error) {
    if (error instanceof RE2JSException) return undefined;
    throw error;
  }
}

function spellings(registry: RegistryAddress): string[] {
  return registry.effectivePort() === 443 ? [registry.host, `${registry.host}:443`] : [registry.toString()];
}
