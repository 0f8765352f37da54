import { isIPv4 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { TartletError, unreachable } from '../errors.ts';
import { type RpcCall, RpcConnection } from '../grpc/client.ts';
import {
  AgentMethod,
  decodeAddress,
  decodeExecResponse,
  encodeExecRequest,
  type ExecResponse,
} from './agent-contract.ts';
import type { GuestCommand, GuestOutput } from './guest-command.ts';

/*
 * Tart's guest agent, or what speaks like it. It is a program of the guest, and not trusted: of what it says no more
 * than one message is held, and what it says of errors is text for people.
 */

/** Input goes in pieces of so many bytes. */
const PIECE_BYTES = 64 * 1024;

/**
 * What an exit code becomes that is none: a guest must not make a success of it by a number that the system cuts off.
 */
const NO_EXIT_CODE = 255;

/** A conversation with the agent behind a socket. */
export class TartAgent {
  readonly #connection: RpcConnection;

  private constructor(connection: RpcConnection) {
    this.#connection = connection;
  }

  /** @throws as {@link RpcConnection.connect} */
  static async connect(path: string, withinMs: number): Promise<TartAgent> {
    return new TartAgent(await RpcConnection.connect(path, withinMs));
  }

  /**
   * Runs a command to its end.
   * @returns its exit code, 0 to 255.
   * @throws TartletError `GUEST_UNREACHABLE` when the agent ends before the command; RpcFailure when it refuses; the
   * signal's reason
   */
  async exec(command: GuestCommand, output: GuestOutput, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const call = this.#connection.call(AgentMethod.exec);
    const cancel = (): void => call.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    let stopResizing: (() => void) | undefined;
    try {
      const { words, input, terminal } = command;
      await call.write(
        encodeExecRequest({ kind: 'command', words, hasInput: input !== undefined, terminal: terminal?.size }),
      );
      stopResizing = terminal?.onResize((size) => void call.write(encodeExecRequest({ kind: 'resize', size })));
      if (input !== undefined) sendInput(call, input);
      return await readOutput(call, output);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
      stopResizing?.();
      call.cancel();
    }
  }

  /**
   * The address that the guest has by its own account.
   * @throws RpcFailure when the agent refuses, or does not answer in `withinMs` milliseconds; TartletError
   * `GUEST_UNREACHABLE` for what is no IPv4 address
   */
  async address(withinMs: number): Promise<string> {
    const call = this.#connection.call(AgentMethod.resolveIp);
    const over = new AbortController();
    void delay(withinMs, undefined, { signal: over.signal }).then(
      () => call.cancel(),
      () => undefined,
    );
    try {
      await call.write(Buffer.alloc(0));
      call.end();
      let address = '';
      for await (const message of call.messages()) address = decodeAddress(message);
      if (isIPv4(address)) return address;
      throw new TartletError('GUEST_UNREACHABLE', `the guest's agent tells no IPv4 address, but "${address}"`);
    } finally {
      over.abort();
    }
  }

  close(): void {
    this.#connection.close();
  }
}

/** Beside the output; the end of the call ends this. Input that cannot be read is over. */
function sendInput(call: RpcCall, input: AsyncIterable<Uint8Array>): void {
  const send = async (): Promise<void> => {
    try {
      for await (const bytes of input) {
        for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
          await call.write(encodeExecRequest({ kind: 'input', data: bytes.subarray(at, at + PIECE_BYTES) }));
        }
      }
    } finally {
      await call.write(encodeExecRequest({ kind: 'input', data: new Uint8Array() }));
    }
  };
  send().catch(() => undefined);
}

async function readOutput(call: RpcCall, output: GuestOutput): Promise<number> {
  for await (const message of call.messages()) {
    const response: ExecResponse = decodeExecResponse(message);
    switch (response.kind) {
      case 'stdout':
        await output.stdout(response.data);
        break;
      case 'stderr':
        await output.stderr(response.data);
        break;
      case 'exit':
        return response.code >= 0 && response.code <= 255 ? response.code : NO_EXIT_CODE;
      case 'unknown':
        break;
      default:
        unreachable(response);
    }
  }
  throw new TartletError('GUEST_UNREACHABLE', "the guest's agent ended before the command did");
}
