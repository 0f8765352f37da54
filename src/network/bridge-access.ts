import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { systemCode, TartletError } from '../errors.ts';

/** The list of bridges that QEMU's helper may connect to. */
export const BRIDGE_CONF = '/etc/qemu/bridge.conf';

/** What the list says. */
interface BridgeRules {
  readonly allowed: readonly string[];
  readonly denied: readonly string[];
  /** Other files with rules. */
  readonly included: readonly string[];
}

/**
 * Reads rules as the helper does: `allow NAME`, `deny NAME`, `include FILE`, with `all` for every name, and `#` before
 * comments. @internal exported for its test.
 */
export function parseBridgeRules(text: string): BridgeRules {
  const words = text.split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/));
  const of = (kind: string): string[] => words.filter(([first]) => first === kind).map(([, name = '']) => name);
  return { allowed: of('allow'), denied: of('deny'), included: of('include') };
}

/**
 * Whether a bridge may be connected to: it is allowed somewhere, and denied nowhere. @internal exported for its test.
 */
export function allowsBridge(rules: readonly BridgeRules[], bridge: string): boolean {
  const names = (list: readonly string[]): boolean => list.includes('all') || list.includes(bridge);
  return rules.some(({ allowed }) => names(allowed)) && !rules.some(({ denied }) => names(denied));
}

/**
 * Makes sure that QEMU can connect guests to bridges, before it is started: it says little of what is wrong.
 *
 * @param helper QEMU's, if it is installed. @param isRoot whether this process is root, for whom the helper needs no
 * rights of its own.
 * @throws TartletError `HOST_LACKS`
 */
export async function requireBridgeAccess(
  bridges: readonly string[],
  { helper, isRoot }: { readonly helper: string | undefined; readonly isRoot: boolean },
): Promise<void> {
  if (helper === undefined) {
    throw new TartletError('HOST_LACKS', "QEMU's helper for bridges is not installed", {
      next: { kind: 'install-bridge-helper' },
    });
  }
  const rules = await rulesHere(BRIDGE_CONF, 0);
  for (const bridge of bridges) {
    const isSetuid = isRoot || ((await stat(helper)).mode & 0o4000) !== 0;
    if ((rules === undefined || allowsBridge(rules, bridge)) && isSetuid) continue;
    throw new TartletError('HOST_LACKS', `QEMU's helper is not allowed to connect guests to the bridge ${bridge}`, {
      subject: bridge,
      next: { kind: 'allow-bridge', bridge, helper: isSetuid ? undefined : helper },
    });
  }
}

/** Includes deeper than this are a cycle. */
const MAX_DEPTH = 8;

/** @returns undefined when some of them may be read by the helper only. */
async function rulesHere(file: string, depth: number): Promise<readonly BridgeRules[] | undefined> {
  if (depth > MAX_DEPTH) return [];
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? [] : undefined;
  }
  const rules = parseBridgeRules(text);
  const more = await Promise.all(
    rules.included.map(async (name) => rulesHere(path.resolve(path.dirname(file), name), depth + 1)),
  );
  return more.includes(undefined) ? undefined : [rules, ...more.flatMap((each) => each ?? [])];
}
