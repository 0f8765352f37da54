import { describeError, isTartletError, systemCode, TartletError } from '../errors.ts';
import { CUT_OFF, gatherInput, type GuestCommand, type GuestOutput, noTerminal } from '../guest/guest-command.ts';
import { RpcFailure, RpcStatus } from '../grpc/status.ts';
import { isSilence } from '../guest/qemu-agent.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { notRunning } from '../vm/stop.ts';
import { talkToQemuAgent, talkToTartAgent } from './agent/guest-agent.ts';

/**
 * How long the agent at `control.sock` may take to greet, and both may take together, in milliseconds: a guest that has
 * none is told of as soon. A `run` that has to find out which agent answers takes up to half a second for its greeting.
 */
const GREETS_WITHIN_MS = 1000;
const ANSWERS_WITHIN_MS = 1900;

/**
 * Runs a command in a running guest, by the agent that answers at `control.sock`; where no `run` serves that, by
 * QEMU's, which tells what a command writes when it has ended, wants its input before it begins, and has no terminals.
 *
 * @returns the command's exit code, 0 to 255.
 * @throws TartletError `VM_NOT_FOUND`, `VM_NOT_RUNNING`, `GUEST_UNREACHABLE`
 */
export async function execInVm(
  session: Session,
  name: LocalName,
  command: GuestCommand,
  output: GuestOutput,
): Promise<number> {
  const vm = await session.vms.require(name);
  await session.vms.touch(vm, session.now());
  if ((await session.vms.state(vm)) !== 'running') throw notRunning(vm);
  const directory = vm.directory.path;
  try {
    const began = session.now().getTime();
    const exitCode = await talkToTartAgent(directory, GREETS_WITHIN_MS, async (agent) =>
      agent.exec(command, output, session.signal),
    );
    if (exitCode !== 'silent') return exitCode;
    const withinMs = ANSWERS_WITHIN_MS - (session.now().getTime() - began);
    return await execByQemuAgent({ directory, withinMs }, command, output, session.signal);
  } catch (error) {
    throw explained(error, name.text);
  }
}

async function execByQemuAgent(
  { directory, withinMs }: { readonly directory: string; readonly withinMs: number },
  { words: [program, ...args], input, terminal }: GuestCommand,
  output: GuestOutput,
  signal: AbortSignal,
): Promise<number> {
  if (terminal !== undefined) throw noTerminal();
  const gathered = input === undefined ? undefined : await gatherInput(input);
  const exit = await talkToQemuAgent(directory, withinMs, async (agent) => agent.exec(program, args, gathered, signal));
  await output.stdout(exit.stdout);
  await output.stderr(exit.stderr);
  if (exit.isCutOff) await output.stderr(CUT_OFF);
  return exit.exitCode;
}

/** What an agent, or the lack of one, means for the caller's command. */
function explained(error: unknown, name: string): unknown {
  if (systemCode(error) === 'EACCES') return ofAnother(name, error);
  if (isSilence(error))
    return systemCode(error.facts.cause) === 'EACCES' ? ofAnother(name, error) : noAgent(name, error);
  if (!isTartletError(error, 'NET_PROTOCOL', 'GUEST_UNREACHABLE')) return error;
  const status = error instanceof RpcFailure ? error.rpcStatus : undefined;
  if (status === RpcStatus.unavailable) return noAgent(name, error);
  const why = status === RpcStatus.aborted ? "the guest's agent ended before the command did" : describeError(error);
  return new TartletError('GUEST_UNREACHABLE', `cannot run the command in the VM "${name}": ${why}`, {
    subject: name,
    next: { kind: status === RpcStatus.failedPrecondition ? 'log-in-by-ssh' : 'look-at-command' },
    cause: error,
  });
}

function noAgent(name: string, cause: unknown): TartletError {
  return new TartletError('GUEST_UNREACHABLE', `no agent answers in the guest of the VM "${name}"`, {
    subject: name,
    next: { kind: 'install-agent' },
    cause,
  });
}

/**
 * A user who may look into a VM's directory need not be one who may command its guest, where no group shares the home.
 */
function ofAnother(name: string, cause: unknown): TartletError {
  return new TartletError(
    'GUEST_UNREACHABLE',
    `not allowed to run commands in the VM "${name}": another user runs it`,
    {
      subject: name,
      next: { kind: 'exec-as-starter' },
      cause,
    },
  );
}
