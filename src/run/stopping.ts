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
 * @param after when the button is pressed first. Default: at once. A guest whose memory is being saved ends with that.
 * @returns what ends it at once.
 */
export function stopMachine(machine: RunningMachine, withinMs: number, after?: Promise<void>): () => void {
  let pressing: NodeJS.Timeout | undefined;
  let isOver = false;
  const press = (): void => void machine.pressPowerButton();
  const settle = (): void => {
    isOver = true;
    clearInterval(pressing);
    clearTimeout(deadline);
  };
  const end = (): void => {
    settle();
    void machine.end();
  };
  const deadline = setTimeout(end, Math.max(0, withinMs));
  const begin = (): void => {
    if (isOver) return;
    pressing = setInterval(press, PRESS_EVERY_MS);
    press();
  };
  if (after === undefined) begin();
  else void after.then(begin);
  void machine.ended.finally(settle);
  return end;
}
