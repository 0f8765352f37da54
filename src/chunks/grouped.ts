/** What has the same key, in the order of the first of each; with that first one in front. */
export function grouped<T>(items: readonly T[], keyOf: (item: T) => string): [first: T, all: readonly T[]][] {
  const groups = new Map<string, [T, T[]]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item, [item]]);
    else group[1].push(item);
  }
  return [...groups.values()];
}
