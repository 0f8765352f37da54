import { QemuAgent } from '../guest/qemu-agent.ts';
import { agentSocket } from '../hypervisor/qemu/sockets.ts';

/** How long the agent of a guest that goes on may take to answer, in milliseconds. */
const ANSWER_WITHIN_MS = 2000;

/**
 * Sets the clock of a guest that stood still, where its agent can (run-fleet-demand §b.3, 9): it is behind by that time. Never fails: a guest without
 * an agent asks a time server, or stays behind.
 *
 * @param directory of the VM. @param now asked when the agent listens.
 */
export async function setGuestClock(directory: string, now: () => Date): Promise<void> {
  try {
    const socket = await agentSocket(directory);
    try {
      const agent = await QemuAgent.connect(socket.path, ANSWER_WITHIN_MS);
      await agent.setTime(now().getTime()).finally(() => agent.close());
    } finally {
      await socket.close();
    }
  } catch {
    // As said above.
  }
}
