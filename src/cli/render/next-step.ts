import type { ErrorCode } from '../../errors.ts';

const AGAIN = 'run the same command again: what is done already is not done twice';
const DAMAGED =
  'run the same command again; if it stays so, a proxy on the way or the storage of the registry damages data';
const PUBLISHER = 'tell whoever pushed the image: it has to be pushed again';

/**
 * What to do about a failure that brings no next step of its own. Here are the kinds whose remedy does not depend on the place where
 * they were found; whoever throws knows better and is always heard first.
 */
const ADVICE: Readonly<Partial<Record<ErrorCode, string>>> = {
  NET_BROKEN: AGAIN,
  NET_TIMEOUT: `check the network, then ${AGAIN}`,
  NET_PROTOCOL: 'check that this is the address of an OCI registry, and what stands between it and this machine',
  RATE_LIMITED: 'try again later, or log in: registries let known users do more',
  REG_UNAVAILABLE: 'try again later; if it stays so, tell whoever runs the registry',
  DIGEST_MISMATCH: DAMAGED,
  SIZE_MISMATCH: DAMAGED,
  RANGE_BROKEN: DAMAGED,
  MANIFEST_INVALID: PUBLISHER,
  MANIFEST_TOO_LARGE: PUBLISHER,
  CHUNK_CORRUPT: PUBLISHER,
  MEDIA_UNSUPPORTED: 'check the name: only VM images of Tart can be used here',
  UPLOAD_LOST: AGAIN,
};

/** The next step for an error that has none, or undefined where only the message can tell. */
export function adviceFor(code: ErrorCode): string | undefined {
  return ADVICE[code];
}
