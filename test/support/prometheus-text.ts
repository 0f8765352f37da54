/**
 * A strict reader of Prometheus' text format, version 0.0.4, written from its documentation and from nothing in `src`:
 * it throws where a scrape would fail, and where `promtool check metrics` would complain of the shape.
 */

export interface ScrapedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ScrapedFamily {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly ScrapedSample[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = String.raw`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"`;
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)\\})? (\\S+)$`);

/** @throws Error with the line that is wrong. */
export function parsePrometheusText(text: string): Map<string, ScrapedFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, { type: string; help: string; samples: ScrapedSample[] }>();
  const seen = new Set<string>();
  let current: string | undefined;
  let help: [string, string] | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`).exec(line);
    if (comment !== null) {
      const [, kind = '', name = '', rest = ''] = comment;
      if (kind === 'HELP') help = [name, rest];
      else {
        if (!/^(?:counter|gauge|histogram|summary|untyped)$/.test(rest)) throw new Error(`no type: ${line}`);
        if (help?.[0] !== name) throw new Error(`no help before: ${line}`);
        if (families.has(name)) throw new Error(`a second time: ${line}`);
        families.set(name, { type: rest, help: help[1], samples: [] });
        current = name;
      }
      continue;
    }
    const sample = SAMPLE.exec(line);
    if (sample === null) throw new Error(`not a sample: ${line}`);
    const [, name = '', labelText = ''] = sample;
    const value = numberOf(sample.at(-1) ?? '');
    const family = families.get(current ?? '');
    const suffixes = family?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    if (family === undefined || !suffixes.some((suffix) => name === `${current}${suffix}`)) {
      throw new Error(`outside of its family: ${line}`);
    }
    if (family.type === 'counter' && !name.endsWith('_total')) throw new Error(`a counter without _total: ${line}`);
    if (family.type === 'counter' && value < 0) throw new Error(`a counter below zero: ${line}`);
    const pairs = Array.from(labelText.matchAll(new RegExp(LABEL, 'g')), ([, label = '', raw = '']) => {
      return [label, raw.replaceAll(/\\(["\\n])/g, (_, letter: string) => (letter === 'n' ? '\n' : letter))] as const;
    });
    const labels = Object.fromEntries(pairs);
    if (Object.keys(labels).length !== pairs.length) throw new Error(`a label twice: ${line}`);
    const key = JSON.stringify([name, pairs.sort(([one], [other]) => (one < other ? -1 : 1))]);
    if (seen.has(key)) throw new Error(`a sample twice: ${line}`);
    seen.add(key);
    family.samples.push({ name, labels, value });
  }
  for (const [name, family] of families) if (family.type === 'histogram') checkHistogram(name, family.samples);
  return families;
}

function numberOf(text: string): number {
  if (text === '+Inf') return Infinity;
  if (!/^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(text)) throw new Error(`not a number: ${text}`);
  return Number(text);
}

/** Buckets ascend, hold more and more, and the infinite one is the count. */
function checkHistogram(name: string, samples: readonly ScrapedSample[]): void {
  const series = new Map<string, { bounds: number[]; counts: number[]; sum?: number; count?: number }>();
  for (const { name: full, labels, value } of samples) {
    const { le, ...rest } = labels;
    const key = JSON.stringify(rest);
    const one = series.get(key) ?? { bounds: [], counts: [] };
    series.set(key, one);
    if (full === `${name}_sum`) one.sum = value;
    else if (full === `${name}_count`) one.count = value;
    else {
      one.bounds.push(numberOf(le ?? ''));
      one.counts.push(value);
    }
  }
  for (const [key, { bounds, counts, sum, count }] of series) {
    const ascends = (list: readonly number[], strictly: boolean): boolean =>
      list.every((each, at) => at === 0 || (strictly ? each > (list[at - 1] ?? 0) : each >= (list[at - 1] ?? 0)));
    if (sum === undefined || count === undefined) throw new Error(`${name}${key} has no sum or no count`);
    if (!ascends(bounds, true) || bounds.at(-1) !== Infinity) throw new Error(`${name}${key} has wrong bounds`);
    if (!ascends(counts, false) || counts.at(-1) !== count) throw new Error(`${name}${key} has wrong counts`);
  }
}
