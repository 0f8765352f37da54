import { describeError, type ErrorCode, isTartletError } from '../../errors.ts';

/** Why an endpoint is not asked any more; plain data, for other threads. */
export interface WhyLeft {
  readonly code: ErrorCode;
  readonly reason: string;
}

/** Told what was learned of endpoints, by their numbers. */
export interface EndpointListener {
  readonly onLeft?: ((index: number, why: WhyLeft) => void) | undefined;
  readonly onServed?: ((index: number) => void) | undefined;
}

/** Blobs that an endpoint may lack one after the other before it is not asked for more of them. */
const MOST_MISSES = 3;

/** What one undertaking has learned about the endpoints of an image, to the end of it: each is
 * given up once, but for {@link forget}. */
export class EndpointMemory {
  readonly #listener: EndpointListener;
  readonly #left = new Map<number, WhyLeft>();
  readonly #served = new Set<number>();
  readonly #misses = new Map<number, number>();

  constructor(listener: EndpointListener = {}) {
    this.#listener = listener;
  }

  /** Endpoints that gave something which was asked for. */
  get served(): ReadonlySet<number> {
    return this.#served;
  }

  /** Those that are not asked any more, and why. */
  get left(): ReadonlyMap<number, WhyLeft> {
    return this.#left;
  }

  /** An endpoint is not asked any more. */
  leave(index: number, why: WhyLeft): void {
    if (this.#left.has(index)) return;
    this.#left.set(index, why);
    this.#listener.onLeft?.(index, why);
  }

  /** {@link leave}, as another thread says: its listeners were told there. */
  hearLeft(index: number, why: WhyLeft): void {
    this.#left.set(index, this.#left.get(index) ?? why);
  }

  /** What endpoints failed at may have been mended: all are asked again. */
  forget(): void {
    this.#left.clear();
    this.#misses.clear();
  }

  /** An endpoint lacks a blob. One of many may be missing: a mirror need not have everything. */
  miss(index: number, why: WhyLeft): void {
    const misses = (this.#misses.get(index) ?? 0) + 1;
    this.#misses.set(index, misses);
    if (misses >= MOST_MISSES) this.leave(index, why);
  }

  /** An endpoint gave what was asked for. */
  serve(index: number): void {
    this.#misses.delete(index);
    if (this.#served.has(index)) return;
    this.#served.add(index);
    this.#listener.onServed?.(index);
  }
}

/** An error as the reason to leave an endpoint. */
export function whyOf(error: unknown): WhyLeft {
  return { code: isTartletError(error) ? error.code : 'INTERNAL', reason: describeError(error) };
}
