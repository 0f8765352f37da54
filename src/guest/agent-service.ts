import { RpcServer, type ServedCall } from '../grpc/server.ts';
import { RpcFailure, RpcStatus } from '../grpc/status.ts';
import {
  AgentMethod,
  decodeExecRequest,
  encodeAddress,
  encodeExecResponse,
  type ExecRequest,
} from './agent-contract.ts';
import { CUT_OFF, gatherInput, noTerminal } from './guest-command.ts';
import { isSilence, type QemuAgent } from './qemu-agent.ts';

/*
 * What speaks like Tart's guest agent and lets QEMU's do the work, for guests that have only that: the programs that
 * drive Tart connect to `control.sock` and know no other agent (vm-run.md §3). What a command writes comes when it has
 * ended, and it has no terminal.
 */

/** Output goes in pieces of so many bytes. */
const PIECE_BYTES = 256 * 1024;

export interface ServiceOptions {
  /** Has a conversation with QEMU's agent. @throws TartletError `GUEST_UNREACHABLE` when none answers. */
  readonly talk: <T>(work: (agent: QemuAgent) => Promise<T>) => Promise<T>;
  /** Where programs of this host reach the guest, if not at the address that it has itself. */
  readonly address: string | undefined;
  /** Of the card that is meant: a guest may have networks of its own inside. */
  readonly mac: string;
}

export function createAgentService({ talk, address, mac }: ServiceOptions): RpcServer {
  return new RpcServer({
    [AgentMethod.exec]: async (call) => serveExec(call, talk),
    [AgentMethod.resolveIp]: async (call) => {
      const own = await unlessSilent(async () =>
        talk(async (agent) => agent.addresses(address === undefined ? mac : undefined)),
      );
      const [found] = own;
      if (found === undefined) throw new RpcFailure(RpcStatus.unavailable, 'the guest has no IPv4 address yet');
      await call.send(encodeAddress(address ?? found));
    },
  });
}

async function serveExec(call: ServedCall, talk: ServiceOptions['talk']): Promise<void> {
  const first = await nextOf(call);
  if (first?.kind !== 'command') throw new RpcFailure(RpcStatus.invalidArgument, 'the command comes first');
  if (first.terminal !== undefined) throw noTerminal();
  const input = first.hasInput ? await gatherInput(inputOf(call)) : undefined;
  const [program = '', ...args] = first.words;
  const exit = await unlessSilent(async () => talk(async (agent) => agent.exec(program, args, input, call.signal)));
  await sendAll(call, 'stdout', exit.stdout);
  await sendAll(call, 'stderr', exit.stderr);
  if (exit.isCutOff) await sendAll(call, 'stderr', CUT_OFF);
  await call.send(encodeExecResponse({ kind: 'exit', code: exit.exitCode }));
}

async function nextOf(call: ServedCall): Promise<ExecRequest | undefined> {
  const { value } = await call.messages.next();
  return value === undefined ? undefined : decodeExecRequest(value);
}

/** An empty piece ends it, or the end of what is said. */
async function* inputOf(call: ServedCall): AsyncGenerator<Uint8Array, void, undefined> {
  for (let said = await nextOf(call); said !== undefined; said = await nextOf(call)) {
    if (said.kind !== 'input') continue;
    if (said.data.length === 0) return;
    yield said.data;
  }
}

async function sendAll(call: ServedCall, kind: 'stdout' | 'stderr', bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    await call.send(encodeExecResponse({ kind, data: bytes.subarray(at, at + PIECE_BYTES) }));
  }
}

/** An agent that does not answer counts as one that is not there yet. */
async function unlessSilent<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isSilence(error) ? new RpcFailure(RpcStatus.unavailable, error.message, error) : error;
  }
}
