/** Signals that a program which runs a VM is asked by (tart-cli §0.4, §1.3). */
const TAKEN = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

/** A signal that {@link takeSignals} takes. */
export type TakenSignal = (typeof TAKEN)[number];

/**
 * Takes all signals for a while: our own answer to them is to end, and that is not what is meant then.
 *
 * @returns what ends it, and gives them back.
 */
export function takeSignals(take: (signal: TakenSignal) => void): () => void {
  const undo = TAKEN.map((signal) => {
    const before = process.listeners(signal);
    process.removeAllListeners(signal);
    const listener = (): void => take(signal);
    process.on(signal, listener);
    return () => {
      process.off(signal, listener);
      for (const each of before) process.on(signal, each);
    };
  });
  return () => {
    for (const each of undo) each();
  };
}
