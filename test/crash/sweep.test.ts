import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithParts } from '../support/real-parts.ts';
import { OPERATIONS } from './operation.ts';
import { Place } from './place.ts';
import { describeFault, EFFECTS, faultsOf, isFull, plant, report, spread } from './sweep.ts';

/** Faults per operation; `npm run sweep` plants them all. */
const QUICK = 12;
/** So many kills and nothing else, where `npm run acceptance f9` asks for that. */
const KILLS = Number(process.env['TARTLET_SWEEP_KILLS'] ?? 0);

describeWithParts('a fault before any change on the disk (D2, D3, D4, D7, D9, D23, P1–P6, P37)', ['strace'], () => {
  let place: Place;

  beforeAll(async () => {
    place = await Place.make();
  });
  afterAll(async () => place.cleanup.run());

  it.each(OPERATIONS)('loses nothing and shows nothing half: $name', { timeout: 3_600_000 }, async (operation) => {
    const effects = KILLS > 0 ? (['SIGKILL'] as const) : EFFECTS;
    const faults = await faultsOf(place, operation, effects);
    expect(faults.length).toBeGreaterThanOrEqual(operation.leastPoints * effects.length);
    const some = KILLS > 0 ? KILLS : (operation.quick ?? QUICK);
    const chosen = isFull ? faults : spread(faults, some);
    const findings: Record<string, readonly string[]> = {};
    for (const fault of chosen) {
      const swept = await plant(place, operation, fault);
      if (swept.findings.length > 0) findings[describeFault(fault)] = swept.findings;
    }
    report('points', operation.name, chosen.length);
    expect(findings).toEqual({});
  });

  it('is planted at the last write where a run makes fewer than were counted', { timeout: 600_000 }, async () => {
    const pull = OPERATIONS.find(({ name }) => name === 'pull');
    if (pull === undefined) throw new Error('the operation is gone');
    const faults = await faultsOf(place, pull, ['SIGKILL']);
    const writes = faults.filter(({ call }) => call === 'pwrite64').length;
    const { fault, findings } = await plant(place, pull, { call: 'pwrite64', nth: writes + 2, effect: 'SIGKILL' });
    expect(fault.nth).toBeLessThanOrEqual(writes + 1);
    expect(findings).toEqual([]);
  });
});
