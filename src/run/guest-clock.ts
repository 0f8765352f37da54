import { talkToQemuAgent } from './agent/guest-agent.ts';

/** How long the agent of a guest that goes on may take to answer, in milliseconds. */
const ANSWER_WITHIN_MS = 2000;

/**
 * Sets the clock of a guest that stood still, where its agent can (run-fleet-demand §b.3, 9): it is behind by that
 * time. Never fails: a guest without an agent asks a time server, or stays behind.
 *
 * @param directory of the VM. @param now asked when the agent listens.
 */
export async function setGuestClock(directory: string, now: () => Date): Promise<void> {
  try {
    await talkToQemuAgent(directory, ANSWER_WITHIN_MS, async (agent) => agent.setTime(now().getTime()));
  } catch {
    // As said above.
  }
}
