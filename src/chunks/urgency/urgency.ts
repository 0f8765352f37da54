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
  isPaused: boolean;
  /** Lets it stand still, or go on. */
  readonly pause: (isOn: boolean) => void;
}

/** While an urgent job is under way, the others stand still, so that it gets all of the network. */
export function pauseForUrgent(jobs: readonly UnderWay[]): void {
  const isUrgent = jobs.some((job) => job.isUrgent());
  for (const job of jobs) {
    const isOn = isUrgent && !job.isUrgent();
    if (isOn === job.isPaused) continue;
    job.isPaused = isOn;
    job.pause(isOn);
  }
}
