import { randomBytes } from 'node:crypto';
import { describeError, isTartletError } from '../../errors.ts';
import { withoutPassword } from '../../names/malformed.ts';
import { type Printable, printable, printableLine, printed } from '../terminal/printable.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { VERSION } from '../terminal/version.ts';
import { DEFAULT_ENDPOINT, encodingOf, sendExport } from './export.ts';
import { type Attributes, encodeExport } from './span.ts';
import { encodeExportAsJson } from './span-json.ts';
import { readPairs, readTraceContext, type TraceContext } from './trace-context.ts';

/**
 * The span of one command, as Tart has it (tart-cli §2, §6.2): named as the subcommand, a child of what `TRACEPARENT`
 * names, exported once when the command is over. Whatever goes wrong here, the command neither fails nor says more.
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
    const encoding = encodingOf(environment);
    const body = (encoding === 'http/json' ? encodeExportAsJson : encodeExport)(
      this.#resource(),
      { name: printed`tartlet`, version: printable(VERSION) },
      {
        ...context,
        ...running,
        name: printable(running.name),
        traceState: context.traceState === undefined ? undefined : printable(context.traceState),
        spanId: randomBytes(8),
        ended: now(),
        attributes: [
          ...attributesOf(readPairs(environment['CIRRUS_SENTRY_TAGS'])),
          [printed`Command-line arguments`, [programName, ...this.#argv.map(withoutPassword)].map(printable)],
        ],
        exception: failure === undefined ? undefined : describeFailure(failure),
      },
    );
    const endpoint = environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? '';
    const problem = await sendExport(endpoint === '' ? DEFAULT_ENDPOINT : endpoint, body, encoding);
    // Programs read our stderr: a collector that is down is no news for them.
    if (problem !== undefined && (environment['TARTLET_DEBUG'] ?? '') !== '') {
      stderr.write(printableLine(`note: the trace was not exported: ${problem}`));
    }
  }

  /**
   * Who we are: `tart` or `vetu` when we are called by that name, because that is whom the receiver knows. The version
   * is our own; `OTEL_RESOURCE_ATTRIBUTES`, the standard's variable, can say something else.
   */
  #resource(): Attributes {
    const { programName } = this.#terminal;
    const name = programName === 'tart' || programName === 'vetu' ? programName : 'tartlet';
    const own = { 'service.name': name, 'service.version': VERSION };
    return attributesOf({ ...own, ...readPairs(this.#terminal.environment['OTEL_RESOURCE_ATTRIBUTES']) });
  }
}

function attributesOf(pairs: Readonly<Record<string, string>>): Attributes {
  return Object.entries(pairs).map(([name, value]) => [printable(name), printable(value)]);
}

/** The same words as on stderr; they hold no secrets (reliability S34). */
function describeFailure(failure: unknown): { type: Printable; message: Printable } {
  if (isTartletError(failure)) return { type: printable(failure.code), message: printable(failure.message) };
  const type = failure instanceof Error ? failure.name : typeof failure;
  return { type: printable(type), message: printable(describeError(failure)) };
}
