import { TartletError } from '../../errors.ts';
import type { LocalName } from '../../names/local-name.ts';
import type { GuestStage, WaitCondition, WaitOutcome } from '../../run/wait-for.ts';
import { writeLines } from '../terminal/message-stream.ts';
import { TerminalText } from '../terminal/terminal-text.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** So many lines of the serial log are shown of a guest that did not come in time. */
const SHOWN_LINES = 15;

const STAGES: Readonly<Record<GuestStage, string>> = {
  started: 'it was started, and its firmware wrote nothing',
  firmware: 'its firmware ran, and no kernel of Linux wrote anything',
  kernel: 'its kernel runs, and it answers at no address',
  address: 'it answers, and not at port 22',
  port: 'it takes connections at port 22',
};

/**
 * What is said of a guest that did not do in time what it was waited for: how far it came, and the end of its serial
 * log.
 * @param kept what becomes of the VM.
 */
export function lateError(
  terminal: Terminal,
  name: LocalName,
  { condition, seconds, late }: { condition: WaitCondition; seconds: number; late: WaitOutcome & { kind: 'late' } },
  kept: string | undefined,
): TartletError {
  const text = new TerminalText();
  const lines = `${text.next(late.logEnd)}${text.rest()}`.split('\n').filter((line) => line.trim() !== '');
  if (lines.length > 0)
    writeLines(terminal.stderr, 'its serial log ends:', ...lines.slice(-SHOWN_LINES).map((line) => `  ${line}`));
  const what = condition.kind === 'tcp' ? `port ${condition.port}` : WAITED_FOR[condition.kind];
  return new TartletError(
    'GUEST_LATE',
    `the guest of the VM "${name.text}" had no ${what} after ${seconds} s: ${STAGES[late.stage]}`,
    { subject: name.text, kept, found: late.stage, retryable: true },
  );
}

const WAITED_FOR = {
  ip: 'address',
  ssh: 'SSH server that answers',
  agent: 'agent that answers',
  command: 'SSH server and no agent that answers',
} as const;
