import type { PauseState } from './pause.ts';

/** Which jobs something waits for, so that they overtake the others. What it says may change at any time. */
export interface Urgency<J> {
  isUrgent(job: J): boolean;
  /**
   * Calls back whenever more or less has become urgent.
   * @returns what ends that.
   */
  onChange(listener: () => void): () => void;
}

/** A job under way. */
export interface UnderWay {
  /** Whether something waits for it now. */
  readonly isUrgent: () => boolean;
  /** Whether it stands still, because something else is urgent. */
  paused: PauseState;
  /** Lets it stand still, or go on. */
  readonly pause: (state: PauseState) => void;
}

/** While an urgent job is under way, the others stand still, so that it gets all of the network. */
export function pauseForUrgent(jobs: readonly UnderWay[]): void {
  const isUrgent = jobs.some((job) => job.isUrgent());
  for (const job of jobs) {
    const state = stateOf(job, isUrgent);
    if (state === job.paused) continue;
    job.paused = state;
    job.pause(state);
  }
}

function stateOf(job: UnderWay, isUrgent: boolean): PauseState {
  if (job.isUrgent()) return 'off';
  if (isUrgent) return 'on';
  return job.paused === 'on' ? 'ending' : job.paused;
}
