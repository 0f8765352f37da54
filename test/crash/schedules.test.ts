import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithParts } from '../support/real-parts.ts';
import { Place } from './place.ts';
import { holdingPoints, runSchedule } from './schedule.ts';
import { SCHEDULES } from './schedules.ts';
import { describeFault, isFull, report } from './sweep.ts';

/** Points at which each of the two is held; `npm run sweep` holds them at all. */
const QUICK = 2;

describeWithParts('two commands at once', ['strace'], () => {
  let place: Place;

  beforeAll(async () => {
    place = await Place.make();
  });
  afterAll(async () => place.cleanup.run());

  it.each(SCHEDULES)(
    'lose nothing and do not wait for ever: $name ($rows)',
    { timeout: 3_600_000 },
    async (schedule) => {
      const findings: Record<string, readonly string[]> = {};
      let runs = 0;
      for (const held of [0, 1] as const) {
        for (const point of await holdingPoints(place, schedule, held, isFull ? Number.POSITIVE_INFINITY : QUICK)) {
          const found = await runSchedule(place, schedule, held, point);
          if (found.length > 0) findings[`${held === 0 ? 'first' : 'second'} held at ${describeFault(point)}`] = found;
          runs += 1;
        }
      }
      report('schedules', schedule.name, runs);
      expect(runs).toBeGreaterThanOrEqual(2 * QUICK);
      expect(findings).toEqual({});
    },
  );

  it('prune beside prune, each held when something was moved, fail at no directory that the other removed (P18)', {
    timeout: 600_000,
  }, async () => {
    const schedule = SCHEDULES.find(({ name }) => name === 'prune and prune');
    if (schedule === undefined) throw new Error('the schedule is gone');
    const points = await holdingPoints(place, schedule, 0, Number.POSITIVE_INFINITY);
    const moves = points.filter(({ call }) => call === 'rename');
    expect(moves.length).toBeGreaterThanOrEqual(4);
    const findings: Record<string, readonly string[]> = {};
    for (const point of moves) {
      const found = await runSchedule(place, schedule, 0, point);
      if (found.length > 0) findings[describeFault(point)] = found;
    }
    expect(findings).toEqual({});
  });
});
