/** Contestants in turn, so that a slow moment of the machine hits all of them, and medians of what they took. */

export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * @param {number} runs counted rounds; one before them only warms up.
 * @param contestants functions by name; each gives `{seconds, cpuSeconds, peakBytes}`, and whatever else it counts.
 * @returns the results of each, by name: one for each round.
 */
export async function inTurn(runs, contestants) {
  const results = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
  for (let run = 0; run <= runs; run += 1) {
    for (const [name, contestant] of Object.entries(contestants)) {
      const result = await contestant();
      if (run > 0) results[name].push(result);
    }
  }
  return results;
}

/** One side of a row: medians, but the most memory. */
export function side(name, results) {
  const of = (field) => median(results.map((result) => result[field]));
  return {
    name,
    seconds: of('seconds'),
    cpuSeconds: of('cpuSeconds'),
    peakBytes: Math.max(...results.map((result) => result.peakBytes)),
  };
}

/**
 * A row: one against the other in the same rounds. Its ratio is that of the two medians that stand beside it, so that a
 * reader can divide them.
 * @param goal `{floor, target}`: ratios not to be above; absent where none was set.
 */
export function row(what, results, ours, theirs, goal = {}) {
  const [mine, peer] = [side(ours, results[ours]), side(theirs, results[theirs])];
  return { what, ours: mine, peer, ratio: mine.seconds / peer.seconds, ...goal };
}
