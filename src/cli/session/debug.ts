import { unreachable } from '../../errors.ts';
import type { TransferEvent } from '../../session/progress.ts';
import type { WireEvent } from '../../session/session.ts';
import { printable } from '../terminal/printable.ts';

/** What `--debug` listens to. */
export interface DebugListeners {
  readonly onWire: (event: WireEvent) => void;
  readonly onWait: (pause: { readonly reason: string; readonly milliseconds: number }) => void;
  readonly onEvent: (event: TransferEvent) => void;
}

/** Writes a line for every request, answer and retry. The library has taken the secrets out of what it tells. */
export function debugListeners(print: (line: string) => void): DebugListeners {
  const onWait: DebugListeners['onWait'] = ({ reason, milliseconds }) => print(retryLine(reason, milliseconds));
  return {
    onWire: (event) => print(wireLine(event)),
    onWait,
    onEvent: (event) => {
      if (event.kind === 'retrying') onWait({ reason: event.reason, milliseconds: event.waitMs });
      if (event.kind === 'peer-answered') print(debugLine(`peer ${event.peer} has ${event.has} of ${event.of} chunks`));
      if (event.kind === 'peer-dropped') print(debugLine(`peer ${event.peer} is asked no more: ${event.fault}`));
    },
  };
}

/** Marked as by curl: `>` for what was sent, `<` for an answer, `!` where there is none. */
function wireLine(event: WireEvent): string {
  const what = `${event.method} ${event.url}`;
  switch (event.kind) {
    case 'request': {
      const body = event.bodyBytes === undefined ? [] : [`${event.bodyBytes} bytes`];
      return debugLine(`> ${what}`, [...event.headers.map(([name, value]) => `${name}: ${value}`), ...body]);
    }
    case 'answer': {
      const headers = event.headers.map(([name, value]) => `${name}: ${value}`);
      return debugLine(`< ${event.status} ${what} after ${event.milliseconds} ms`, headers);
    }
    case 'failed':
      return debugLine(`! ${what} after ${event.milliseconds} ms: ${event.reason}`);
    default:
      return unreachable(event);
  }
}

function retryLine(reason: string, milliseconds: number): string {
  return debugLine(`again in ${milliseconds} ms: ${reason}`);
}

function debugLine(text: string, details: readonly string[] = []): string {
  return printable(`debug: ${text}${details.length === 0 ? '' : ` [${details.join('; ')}]`}`);
}
