import { TartletError } from '../errors.ts';

/** How a call can end (grpc.io/docs/guides/status-codes), as far as it makes a difference here. */
export const RpcStatus = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  failedPrecondition: 9,
  /** Here: the connection broke. */
  aborted: 10,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

/** A call that did not end well. `message` may be of the other side, and say anything. */
export class RpcFailure extends TartletError {
  /** One of {@link RpcStatus}, or another number. */
  readonly rpcStatus: number;

  constructor(rpcStatus: number, message: string, cause?: unknown) {
    super('NET_PROTOCOL', message, { cause });
    this.rpcStatus = rpcStatus;
  }
}
