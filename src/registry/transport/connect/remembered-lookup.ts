import { lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';

/** A name server that takes longer is away: in milliseconds. */
const LATE_MS = 1000;

/** What a name server says, or its failure. */
type Answer = readonly [
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number | undefined,
];

/**
 * Turns names into addresses as `next` does, and into what it said before where it is late or fails: a network that is
 * back after it was away can be used before its name server is found again. A name is asked for once at a time, because
 * each question holds one of the few threads that this process has for files as well.
 */
export function rememberedLookup(next: LookupFunction = systemLookup): LookupFunction {
  const known = new Map<string, Answer>();
  const asked = new Map<string, Promise<Answer>>();
  const ask = async (hostname: string, options: LookupOptions, key: string): Promise<Answer> => {
    const answer = await new Promise<Answer>((resolve) => {
      next(hostname, options, (...found) => resolve(found));
    });
    asked.delete(key);
    if (answer[0] === null) known.set(key, answer);
    return answer;
  };
  return (hostname, options, callback) => {
    const key = `${hostname} ${JSON.stringify([options.family, options.all, options.hints, options.order])}`;
    const question = asked.get(key) ?? ask(hostname, options, key);
    asked.set(key, question);
    let isOver = false;
    const give = (answer: Answer): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(late);
      callback(...answer);
    };
    const late = setTimeout(() => {
      const before = known.get(key);
      if (before !== undefined) give(before);
    }, LATE_MS);
    void question.then((answer) => give(answer[0] === null ? answer : (known.get(key) ?? answer)));
  };
}
