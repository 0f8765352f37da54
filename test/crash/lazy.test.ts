import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithParts } from '../support/real-parts.ts';
import { LAZY_OPERATIONS } from './lazy.ts';
import { checkOrder, ORDERED_CALLS, readEvents } from './order.ts';
import { Place } from './place.ts';
import { traceCalls } from './strace.ts';
import { describeFault, EFFECTS, faultsOf, isFull, plant, report, spread } from './sweep.ts';

/** So many kills of each and nothing else, where `npm run acceptance l6` asks for that. */
const KILLS = Number(process.env['TARTLET_SWEEP_KILLS'] ?? 0);

describeWithParts('a VM that gets the disk that has arrived', ['strace', 'qemu-img', 'ovmf'], () => {
  let place: Place;

  beforeAll(async () => {
    place = await Place.make();
  });
  afterAll(async () => place.cleanup.run());

  /** What only saves time, is made anew by the next run, or is of the one that runs now. */
  function isUnpublished(file: string): boolean {
    if (/^\/(dev|proc)\//.test(file) || !`${file}/`.startsWith(`${place.home}/`)) return true;
    const below = file.slice(place.home.length);
    if (/^\/(tmp|cache\/\.staging|cache\/\.locks)(\/|$)/.test(below)) return true;
    if (/\/\.([^/]*lock|last-used|disk-seal\.json|migrated\.json[^/]*)$/.test(below)) return true;
    return /^\/vms\/lazy\/(?!(disk\.img|config\.json|nvram\.bin|\.(lazy|base-manifest).*\.json|lazy\.qcow2)$)/.test(
      below,
    );
  }

  it.each(LAZY_OPERATIONS)(
    'is lazy or whole after a power cut, and has all: $name (P43)',
    { timeout: 120_000 },
    async (operation) => {
      const invocation = await operation.prepare(place);
      const traced = await traceCalls(invocation, ORDERED_CALLS, place.log());
      expect(traced.exitCode, traced.stderr).toBe(0);
      // What qemu-img inherits was opened by the command.
      const calls = readFileSync(place.log(), 'utf8').replaceAll('"/proc/self/fd/3"', '"/dev/fd/3"');
      const events = readEvents(calls, place.home);
      expect(events.filter(({ kind }) => kind === 'flush').length).toBeGreaterThanOrEqual(operation.leastFlushes);
      expect(checkOrder(events, isUnpublished)).toEqual([]);
    },
  );

  it.each(LAZY_OPERATIONS)(
    'is lazy or whole after any fault: $name (P39, P42)',
    { timeout: 3_600_000 },
    async (operation) => {
      const effects = KILLS > 0 ? (['SIGKILL'] as const) : EFFECTS;
      const faults = await faultsOf(place, operation, effects);
      expect(faults.length).toBeGreaterThanOrEqual(operation.leastPoints * effects.length);
      const chosen = isFull ? faults : spread(faults, KILLS > 0 ? KILLS : (operation.quick ?? 1));
      const findings: Record<string, readonly string[]> = {};
      for (const fault of chosen) {
        const swept = await plant(place, operation, fault);
        // One of the programs that it starts may be what is killed; then it is an error as others are.
        const found = swept.findings.filter((finding) => !finding.startsWith('V10 it was not killed'));
        if (found.length > 0) findings[describeFault(fault)] = found;
      }
      report('points', operation.name, chosen.length);
      expect(findings).toEqual({});
    },
  );
});
