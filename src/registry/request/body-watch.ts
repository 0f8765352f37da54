/** Told how an answer comes, while something waits for it. */
export interface AnswerWatch {
  /** Its next bytes are waited for. What the reader itself is slow at does not count. */
  waits(): void;
  /** So many bytes of its body came. */
  came(bytes: number): void;
  /** Nothing of it is waited for any more. */
  ends(): void;
}

const watches = new WeakMap<AbortSignal, AnswerWatch>();

/** Attaches a watch to the signal that ends one request. */
export function watchBy(signal: AbortSignal, watch: AnswerWatch): void {
  watches.set(signal, watch);
}

/** The watch of a request. Undefined: its answer is waited for as long as the limits say. */
export function watchOf(signal: AbortSignal | undefined): AnswerWatch | undefined {
  return signal === undefined ? undefined : watches.get(signal);
}
