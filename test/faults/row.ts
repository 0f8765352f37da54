import { it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import type { FaultId } from './catalogue.ts';
import { expectInvariants, lookBefore } from './invariants.ts';
import { World } from './world.ts';

/**
 * A test of one row of the catalogue: makes a world, lets `body` spoil something in it and say what must follow, and
 * then checks the invariants, lifts the faults, lets every pull of the row run again, and checks them once more.
 */
export function row(id: FaultId, title: string, body: (world: World) => Promise<void>): void {
  it(`${title} (${id})`, async () => {
    const cleanup = new Cleanup();
    try {
      const world = new World(cleanup);
      const before = lookBefore(world);
      await body(world);
      await expectInvariants(world, before);
    } finally {
      await cleanup.run();
    }
  });
}
