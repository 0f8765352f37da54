import type { RunningMachine } from '../hypervisor/hypervisor.ts';

/** A guest may not listen yet when its button is pressed, and never hears of it then (vm-run.md §3): it is pressed again, in milliseconds. */
const PRESS_EVERY_MS = 2500;

/** How long a guest may take to turn itself off where nothing else was said, in milliseconds. */
export const STOP_WITHIN_MS = 30_000;

/** The machine ends so long before the process that runs it would be killed, in milliseconds, so that its disks are closed. */
export const BEFORE_KILL_MS = 500;

/**
 * Turns a machine off: its power button is pressed until the guest hears it, and what is up at the deadline is ended.
 *
 * @param withinMs milliseconds from now.
 * @returns what ends it at once.
 */
export function stopMachine(machine: RunningMachine, withinMs: number): () => void {
  const press = (): void => void machine.pressPowerButton();
  const end = (): void => {
    clearInterval(pressing);
    clearTimeout(deadline);
    void machine.end();
  };
  const pressing = setInterval(press, PRESS_EVERY_MS);
  const deadline = setTimeout(end, Math.max(0, withinMs));
  press();
  void machine.ended.finally(() => {
    clearInterval(pressing);
    clearTimeout(deadline);
  });
  return end;
}
