import { setTimeout as delay } from 'node:timers/promises';
import { unreachable } from '../errors.ts';
import { readTail } from './serial-log.ts';
import { answersBySsh, takesConnections } from '../network/guest-answer.ts';
import type { Session } from '../session/session.ts';
import { type GuestProbe, SSH_PORT } from './guest-probe.ts';

/** What a guest is waited for to do. */
export type WaitCondition =
  /** It answers at an address. */
  | { readonly kind: 'ip' }
  /** Its SSH server answers. */
  | { readonly kind: 'ssh' }
  /** An agent in it answers. */
  | { readonly kind: 'agent' }
  /** Either of the two: a command can be run in it. */
  | { readonly kind: 'command' }
  /** It takes connections at this port of its own. */
  | { readonly kind: 'tcp'; readonly port: number };

/** How far a guest came: each has what those before it have. */
export type GuestStage = 'started' | 'firmware' | 'kernel' | 'address' | 'port';

/** What became of waiting. */
export type WaitOutcome =
  | { readonly kind: 'holds' }
  /** The time is over. With the end of the serial log. */
  | { readonly kind: 'late'; readonly stage: GuestStage; readonly logEnd: Uint8Array }
  /** The VM ended, or is not wanted any more. */
  | { readonly kind: 'over' };

export interface WaitOptions {
  /** Of the VM. */
  readonly directory: string;
  /** How long, in milliseconds. */
  readonly withinMs: number;
  /** Ends the waiting. */
  readonly over: AbortSignal;
}

/** Between two looks, in milliseconds; a look at a guest that does not answer takes a second itself. */
const LOOK_EVERY_MS = 100;
const ANSWER_WITHIN_MS = 1000;

/** Waits until a guest does what is asked for. Ends with the session's signal as well. */
export async function waitForGuest(
  session: Session,
  probe: GuestProbe,
  condition: WaitCondition,
  { directory, withinMs, over }: WaitOptions,
): Promise<WaitOutcome> {
  const deadline = session.now().getTime() + withinMs;
  for (;;) {
    if (over.aborted) return { kind: 'over' };
    if (await holds(probe, condition)) return { kind: 'holds' };
    if (over.aborted) return { kind: 'over' };
    if (session.now().getTime() >= deadline) {
      const logEnd = await readTail(directory);
      return { kind: 'late', stage: await stageOf(probe, logEnd), logEnd };
    }
    await delay(LOOK_EVERY_MS, undefined, { signal: session.signal });
  }
}

async function holds(probe: GuestProbe, condition: WaitCondition): Promise<boolean> {
  switch (condition.kind) {
    case 'ip':
      return (await probe.address('any')) !== undefined;
    case 'agent':
      return (await probe.address('agent')) !== undefined;
    case 'ssh':
      return answersAt(probe, SSH_PORT, answersBySsh);
    case 'command':
      return (await answersAt(probe, SSH_PORT, answersBySsh)) || (await probe.address('agent')) !== undefined;
    case 'tcp':
      return answersAt(probe, condition.port, takesConnections);
    default:
      return unreachable(condition);
  }
}

async function answersAt(
  probe: GuestProbe,
  port: number,
  answers: (address: string, port: number, withinMs: number) => Promise<boolean>,
): Promise<boolean> {
  // First that it is up: what leads to a port takes connections before (run-fleet-demand §8, 14).
  const address = await probe.address('any');
  const door = address === undefined ? undefined : await probe.door(address, port);
  return door !== undefined && answers(door.address, door.port, ANSWER_WITHIN_MS);
}

/** What a kernel of Linux says first, with or without the times before it. */
const OF_KERNEL = /Linux version|\[ {0,4}\d+\.\d{6}\]|EFI stub:/;

async function stageOf(probe: GuestProbe, logEnd: Uint8Array): Promise<GuestStage> {
  if (await answersAt(probe, SSH_PORT, takesConnections)) return 'port';
  if ((await probe.address('any')) !== undefined) return 'address';
  const text = Buffer.from(logEnd).toString('latin1');
  if (OF_KERNEL.test(text)) return 'kernel';
  return text.trim() === '' ? 'started' : 'firmware';
}
