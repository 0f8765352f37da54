import type { RemoteName } from '../names/remote-name.ts';
import type { BootOrder } from '../oci/boot-order.ts';
import type { FlatImage } from '../oci/tart-image.ts';
import { DEFAULT_CONCURRENCY } from '../session/concurrency.ts';
import type { Session } from '../session/session.ts';
import { BegunPull } from './begun-pull.ts';
import {
  type DiskFacts,
  estimateStart,
  type LittleGain,
  littleGainOf,
  type StartEstimate,
  withRate,
} from './estimate.ts';
import type { MeasuredRate } from './rate-meter.ts';

/** Why an image is pulled as a whole: little would be gained otherwise, or the VM does not run on Linux. */
export type NotLazy =
  | { readonly kind: LittleGain; readonly estimate: StartEstimate }
  | { readonly kind: 'not-for-linux' };

export type Choice =
  /** To begin before the disk is here. */
  | { readonly kind: 'lazy'; readonly estimate: StartEstimate }
  /** That is not worth it: the image is here now. */
  | { readonly kind: 'whole' };

export interface ChoiceOptions {
  readonly insecure: boolean;
  /** Most chunks at once. */
  readonly concurrency: number | undefined;
  /** What of the disk is fetched first. */
  readonly order: BootOrder | undefined;
  /** Told before it is waited for all of the image. */
  readonly onWhole: ((why: NotLazy) => void) | undefined;
}

/**
 * What the start of a guest needs of an image. The rate is known where the session has a limit.
 * @param known contents that are nothing but zeros, as texts of their digests, and a boot order if there is one.
 */
export function estimateOf(
  session: Session,
  { base, pieces }: FlatImage,
  { zeros, order }: Pick<DiskFacts, 'zeros' | 'order'>,
): StartEstimate {
  const disk: DiskFacts = { chunks: base.chunks, zeros, unit: pieces === undefined ? 'chunk' : 'piece' };
  const measured = estimateStart(disk);
  // An order has what the guest did later as well, and another wrote it: it makes no start larger.
  const ordered = order === undefined ? measured : estimateStart({ ...disk, order });
  const estimate = ordered.startBytes < measured.startBytes ? ordered : measured;
  const bytesPerSecond = session.rateLimit?.bytesPerSecond;
  return bytesPerSecond === undefined ? estimate : withRate(estimate, { bytesPerSecond, leftBytes: undefined });
}

/**
 * Decides whether a VM begins before its disk is here, by the rate at which the image comes. That is measured on a pull
 * of it, for a second at most: what comes is needed either way, and where it turns out that little would be gained, the
 * pull goes on to its end.
 *
 * @param beforehand what is known without that.
 * @throws TartletError those of a pull, when it went on.
 */
export async function choose(
  session: Session,
  name: RemoteName,
  beforehand: StartEstimate,
  { insecure, concurrency = DEFAULT_CONCURRENCY, order, onWhole }: ChoiceOptions,
): Promise<Choice> {
  const begun = new BegunPull(session, name, { insecure, concurrency, order });
  try {
    const measured = await begun.measured();
    session.signal.throwIfAborted();
    const estimate = measured === undefined ? beforehand : withRate(beforehand, cappedBy(session, measured));
    const why = littleGainOf(estimate);
    if (why === undefined) return { kind: 'lazy', estimate };
    onWhole?.({ kind: why, estimate });
    await begun.goOn();
    return { kind: 'whole' };
  } finally {
    await begun.stop();
  }
}

/** A limit lets a little more through in the first moment. */
function cappedBy({ rateLimit }: Session, { bytesPerSecond, leftBytes }: MeasuredRate): MeasuredRate {
  return { bytesPerSecond: Math.min(bytesPerSecond, rateLimit?.bytesPerSecond ?? bytesPerSecond), leftBytes };
}
