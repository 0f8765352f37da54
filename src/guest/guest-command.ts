import { RpcFailure, RpcStatus } from '../grpc/status.ts';
import type { TerminalSize } from './agent-contract.ts';

/** A command that is to run in a guest. */
export interface GuestCommand {
  readonly words: readonly [string, ...string[]];
  /** What it reads; undefined: nothing. */
  readonly input: AsyncIterable<Uint8Array> | undefined;
  /** It gets a terminal; undefined: none. */
  readonly terminal: GuestTerminal | undefined;
}

/** The terminal here that one in the guest is to be like. */
export interface GuestTerminal {
  readonly size: TerminalSize;
  /** Tells when the size has changed. @returns what ends it */
  readonly onResize: (listener: (size: TerminalSize) => void) => () => void;
}

/** Takes what a command writes, byte by byte; the next comes when it has been taken. */
export interface GuestOutput {
  stdout(data: Uint8Array): Promise<void>;
  stderr(data: Uint8Array): Promise<void>;
}

/** So much input is taken by an agent that must have all of it before the command begins, in bytes. */
const MAX_GATHERED_INPUT = 16 * 1024 * 1024;

/**
 * All of the input, for QEMU's agent, which knows no other. @throws RpcFailure `resourceExhausted` when it is too much
 */
export async function gatherInput(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const gathered: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    gathered.push(piece);
    length += piece.length;
    if (length > MAX_GATHERED_INPUT) {
      throw new RpcFailure(RpcStatus.resourceExhausted, "QEMU's guest agent takes input of 16 MiB at most");
    }
  }
  return Buffer.concat(gathered);
}

/** What QEMU's agent cannot do. */
export function noTerminal(): RpcFailure {
  return new RpcFailure(RpcStatus.failedPrecondition, "QEMU's guest agent gives commands no terminal");
}

/** Told where the command tells its own errors: nothing else of an answer is shown by every program. */
export const CUT_OFF = Buffer.from('warning: the agent kept only the beginning of the output\n');
