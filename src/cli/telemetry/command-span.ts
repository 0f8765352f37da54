import { randomBytes } from 'node:crypto';
import { describeError, isTartletError } from '../../errors.ts';
import { withoutPassword } from '../../names/malformed.ts';
import { printableLine } from '../render/printable.ts';
import type { Terminal } from '../terminal.ts';
import { VERSION } from '../version.ts';
import { DEFAULT_ENDPOINT, sendExport } from './export.ts';
import { encodeExport } from './span.ts';
import { readPairs, readTraceContext, type TraceContext } from './trace-context.ts';

/**
 * The span of one command, as Tart has it (tart-cli §2, §6.2): named as the subcommand, a child of what `TRACEPARENT` names, exported
 * once when the command is over. Whatever goes wrong here, the command neither fails nor says more.
 */
export class CommandSpan {
  readonly #terminal: Terminal;
  readonly #argv: readonly string[];
  readonly #context: TraceContext | undefined;
  #running: { readonly name: string; readonly began: Date } | undefined;

  constructor(terminal: Terminal, argv: readonly string[], traceParent: string) {
    this.#terminal = terminal;
    this.#argv = argv;
    this.#context = readTraceContext(traceParent, terminal.environment['TRACESTATE']);
  }

  /** The command line was understood, and the command starts now. Help, usage errors and completion have no span. */
  begin(name: string): void {
    if (!name.startsWith('__')) this.#running = { name, began: this.#terminal.now() };
  }

  /** Exports the span, in 2 seconds at most. @param failure what ended the command, if something did. */
  async end(failure: unknown): Promise<void> {
    const running = this.#running;
    const context = this.#context;
    if (running === undefined || context === undefined) return;
    this.#running = undefined;
    const { environment, programName, stderr, now } = this.#terminal;
    const body = encodeExport(
      this.#resource(),
      { name: 'tartlet', version: VERSION },
      {
        ...context,
        ...running,
        spanId: randomBytes(8),
        ended: now(),
        attributes: {
          ...readPairs(environment['CIRRUS_SENTRY_TAGS']),
          'Command-line arguments': [programName, ...this.#argv.map(withoutPassword)],
        },
        exception: failure === undefined ? undefined : describeFailure(failure),
      },
    );
    const endpoint = environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? '';
    const problem = await sendExport(endpoint === '' ? DEFAULT_ENDPOINT : endpoint, body);
    // Programs read our stderr: a collector that is down is no news for them.
    if (problem !== undefined && (environment['TARTLET_DEBUG'] ?? '') !== '') {
      stderr.write(printableLine(`note: the trace was not exported: ${problem}`));
    }
  }

  /**
   * Who we are: `tart` when we are called by that name, because that is whom the receiver knows. The version is our own;
   * `OTEL_RESOURCE_ATTRIBUTES`, the standard's variable, can say something else.
   */
  #resource(): Record<string, string> {
    const name = this.#terminal.programName === 'tart' ? 'tart' : 'tartlet';
    const own = { 'service.name': name, 'service.version': VERSION };
    return { ...own, ...readPairs(this.#terminal.environment['OTEL_RESOURCE_ATTRIBUTES']) };
  }
}

/** The same words as on stderr; they hold no secrets (reliability S34). */
function describeFailure(failure: unknown): { type: string; message: string } {
  if (isTartletError(failure)) return { type: failure.code, message: failure.message };
  return { type: failure instanceof Error ? failure.name : typeof failure, message: describeError(failure) };
}
