import type { JobQueue } from './job-queue.ts';
import type { Urgency } from './urgency.ts';

/** So many urgent jobs at once begin beyond the places that there are for all. */
const MOST_URGENT = 4;

/**
 * Does the jobs of a queue in so many lanes, and opens further ones for jobs that become urgent meanwhile.
 *
 * @param drain does jobs of the queue, one after the other, until there is none of its kind.
 * @param onChange told when something else is urgent than before.
 * @returns what became of each lane, when all have ended.
 */
export async function inLanes<J>(
  queue: JobQueue<J>,
  count: number,
  drain: (which: 'any' | 'urgent') => Promise<void>,
  { urgency, onChange }: { readonly urgency: Urgency<J> | undefined; readonly onChange: () => void },
): Promise<readonly PromiseSettledResult<void>[]> {
  const lanes = Array.from({ length: count }, async () => drain('any'));
  let urgentLanes = 0;
  queue.onReady = () => {
    // Each takes its first job at once.
    while (urgentLanes < MOST_URGENT && queue.hasUrgent) {
      urgentLanes += 1;
      const lane = drain('urgent').finally(() => {
        urgentLanes -= 1;
      });
      lanes.push(lane);
      lane.catch(() => undefined); // It is looked at below.
    }
  };
  const ignore = urgency?.onChange(() => {
    onChange();
    queue.onReady();
  });
  // While it waits, more may begin.
  let outcomes: PromiseSettledResult<void>[] = [];
  for (;;) {
    while (outcomes.length < lanes.length) outcomes = await Promise.allSettled(lanes);
    // The last job of an urgent lane may rest while no other lane is left.
    if (queue.length === 0 || outcomes.some(({ status }) => status === 'rejected')) break;
    lanes.push(drain('any'));
  }
  ignore?.();
  queue.close();
  return outcomes;
}
