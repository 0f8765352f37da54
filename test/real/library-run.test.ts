import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTartlet, type RunEvent, type Tartlet } from '../../src/index.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { plantSuspendedGuest } from '../support/suspended-guest.ts';

const LONG_MS = 400_000;

describeWithParts('a VM that a program runs', ['qemu-system-x86_64', 'ovmf', 'mformat', 'depmod'], () => {
  const cleanup = new Cleanup();
  let tartlet: Tartlet;

  beforeAll(async () => {
    const home = cleanup.directory();
    tartlet = openTartlet({ home });
    await plantSuspendedGuest(`${home}/vms/ci`);
  }, LONG_MS);
  afterAll(async () => {
    await tartlet.close();
    await cleanup.run();
  });

  it(
    'is reached, takes commands, and is suspended and stopped',
    async () => {
      const events: RunEvent[] = [];
      const vm = await tartlet.run('ci', { onRunEvent: (event) => events.push(event) });
      expect((await tartlet.list({ source: 'local' })).map(({ state }) => state)).toEqual(['running']);
      expect(await vm.ip({ waitMs: 120_000 })).toMatch(/^127\.\d+\.\d+\.\d+$/);
      const echoed = await vm.exec(['sh', '-c', 'cat; echo oops >&2; exit 42'], { input: 'héllo' });
      expect(echoed.exitCode).toBe(42);
      expect(Buffer.from(echoed.stdout).toString()).toBe('héllo');
      expect(Buffer.from(echoed.stderr).toString()).toBe('oops\n');
      expect(await vm.suspend()).toEqual({ kind: 'suspended' });
      expect(events.map(({ kind }) => kind)).toContain('suspending');
      expect((await tartlet.get('ci')).state).toBe('suspended');

      const again = await tartlet.run('ci');
      await expect(tartlet.run('ci')).rejects.toMatchObject({ code: 'VM_RUNNING' });
      await again.ip({ waitMs: 120_000 });
      expect(await again.stop()).toEqual({ kind: 'guest' });
      expect((await tartlet.get('ci')).state).toBe('stopped');
    },
    LONG_MS,
  );

  it('is refused for a VM that is not there', async () => {
    await expect(tartlet.run('none')).rejects.toMatchObject({ code: 'VM_NOT_FOUND' });
    await expect(tartlet.exec('none', ['true'])).rejects.toMatchObject({ code: 'VM_NOT_FOUND' });
  });
});
