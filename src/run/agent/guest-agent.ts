import { systemCode } from '../../errors.ts';
import { QemuAgent } from '../../guest/qemu-agent.ts';
import type { Mutex } from '../../guest/mutex.ts';
import type { TartAgent } from '../../guest/tart-agent.ts';
import { VmFile } from '../../home/home-entry.ts';
import { agentSocket, socketIn } from '../../hypervisor/qemu/sockets.ts';

/**
 * Has a conversation with QEMU's agent in the guest of a VM.
 *
 * @param directory of the VM. @param withinMs how long each answer may take, in milliseconds. @param mutex of all that
 * this process talks about to it.
 * @throws TartletError `GUEST_UNREACHABLE` when no agent answers
 */
export async function talkToQemuAgent<T>(
  directory: string,
  withinMs: number,
  work: (agent: QemuAgent) => Promise<T>,
  mutex?: Mutex,
): Promise<T> {
  const socket = await agentSocket(directory);
  try {
    const agent = await QemuAgent.connect(socket.path, withinMs, mutex);
    try {
      return await work(agent);
    } finally {
      agent.close();
    }
  } finally {
    await socket.close();
  }
}

/**
 * Has a conversation with what answers at `control.sock`: Tart's agent, or what speaks like it.
 *
 * @param withinMs how long it may take to greet, in milliseconds.
 * @returns `silent` when nothing listens there, or nothing that speaks so.
 * @throws the system's own error when connecting is not allowed; what `work` throws
 */
export async function talkToTartAgent<T>(
  directory: string,
  withinMs: number,
  work: (agent: TartAgent) => Promise<T>,
): Promise<T | 'silent'> {
  const { TartAgent: Agent } = await import('../../guest/tart-agent.ts');
  const socket = await socketIn(directory, VmFile.controlSocket);
  try {
    const agent = await Agent.connect(socket.path, withinMs).catch((error: unknown) => {
      if (systemCode(error) === 'EACCES') throw error;
      return undefined;
    });
    if (agent === undefined) return 'silent';
    try {
      return await work(agent);
    } finally {
      agent.close();
    }
  } finally {
    await socket.close();
  }
}
