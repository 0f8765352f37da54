import { isTartletError, TartletError } from '../errors.ts';
import { type GuestExit, QemuAgent } from '../guest/qemu-agent.ts';
import { agentSocket } from '../hypervisor/qemu/sockets.ts';
import type { LocalName } from '../names/local-name.ts';
import type { Session } from '../session/session.ts';
import { notRunning } from '../vm/stop.ts';

/** How a command is run in a guest. */
export interface ExecOptions {
  /** All that it reads. Default: nothing. */
  readonly input?: Uint8Array | undefined;
  /** Whether it is to have a terminal, which this agent gives to none. */
  readonly terminal: boolean;
}

/** How long an agent may take to answer, in milliseconds: a guest that has none is told of as soon. */
const ANSWER_WITHIN_MS = 2000;

/**
 * Runs a command in a running guest, by QEMU's guest agent: what it writes comes when it has ended, and it has no terminal.
 *
 * @throws TartletError `VM_NOT_FOUND`, `VM_NOT_RUNNING`, `GUEST_UNREACHABLE`
 */
export async function execInVm(
  session: Session,
  name: LocalName,
  command: readonly [string, ...string[]],
  { input, terminal }: ExecOptions,
): Promise<GuestExit> {
  const vm = await session.vms.require(name);
  await session.vms.touch(vm, session.now());
  if ((await session.vms.state(vm)) !== 'running') throw notRunning(vm);
  if (terminal) {
    throw new TartletError('GUEST_UNREACHABLE', "QEMU's guest agent gives commands no terminal", {
      subject: name.text,
      next: { kind: 'log-in-by-ssh' },
    });
  }
  const socket = await agentSocket(vm.folder.path);
  try {
    const agent = await QemuAgent.connect(socket.path, ANSWER_WITHIN_MS).catch((error: unknown) => {
      throw isTartletError(error, 'GUEST_UNREACHABLE') ? noAgent(name.text, error) : error;
    });
    try {
      const [program, ...args] = command;
      return await agent.exec(program, args, input);
    } finally {
      agent.close();
    }
  } finally {
    await socket.close();
  }
}

function noAgent(name: string, cause: TartletError): TartletError {
  return new TartletError('GUEST_UNREACHABLE', `no agent answers in the guest of the VM "${name}"`, {
    subject: name,
    next: { kind: 'install-agent' },
    cause,
  });
}
