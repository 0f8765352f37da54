import { bytesField, messageField, stringField, uintField } from '../../protobuf/write.ts';
import { type Printable, printed } from '../terminal/printable.ts';
import { fixed32Field, fixed64Field } from './protobuf.ts';

/**
 * Names and values; a value is a text, or a list of texts. A collector shows them to people, so that everything goes
 * through the same door as to a terminal (reliability S35).
 */
export type Attributes = readonly (readonly [name: Printable, value: Printable | readonly Printable[]])[];

/** One finished span. */
export interface Span {
  /** 16 bytes. */
  readonly traceId: Uint8Array;
  /** 8 bytes. */
  readonly spanId: Uint8Array;
  /** 8 bytes; undefined for the first span of a trace. */
  readonly parentSpanId: Uint8Array | undefined;
  /** Whose word the trace state is: passed on as it came. */
  readonly traceState: Printable | undefined;
  readonly name: Printable;
  readonly began: Date;
  readonly ended: Date;
  readonly attributes: Attributes;
  /** The failure that ended it, when one did. */
  readonly exception: { readonly type: Printable; readonly message: Printable } | undefined;
}

/** `SPAN_KIND_INTERNAL` (trace.proto). */
export const KIND_INTERNAL = 1;
/** `STATUS_CODE_ERROR` (trace.proto). */
export const STATUS_ERROR = 2;
/** Sampled, and for a parent: known to be in another process (trace.proto, SpanFlags). */
export const FLAG_SAMPLED = 0x01;
/** @see FLAG_SAMPLED */
export const FLAGS_REMOTE_PARENT = 0x300;

/**
 * The body of one export: `ExportTraceServiceRequest` with one resource, one scope and one span. Field numbers are
 * those of opentelemetry-proto 1.x, `trace.proto`, `common.proto` and `resource.proto`.
 */
export function encodeExport(
  resource: Attributes,
  scope: { name: Printable; version: Printable },
  span: Span,
): Uint8Array {
  const scopeMessage = messageField(1, [stringField(1, scope.name), stringField(2, scope.version)]);
  const scopeSpans = messageField(2, [scopeMessage, messageField(2, encodeSpan(span))]);
  return messageField(1, [messageField(1, encodeAttributes(1, resource)), scopeSpans]);
}

function encodeSpan(span: Span): Uint8Array[] {
  const parts: Uint8Array[] = [bytesField(1, span.traceId), bytesField(2, span.spanId)];
  if (span.traceState !== undefined) parts.push(stringField(3, span.traceState));
  if (span.parentSpanId !== undefined) parts.push(bytesField(4, span.parentSpanId));
  parts.push(
    stringField(5, span.name),
    uintField(6, KIND_INTERNAL),
    fixed64Field(7, nanoseconds(span.began)),
    fixed64Field(8, nanoseconds(span.ended)),
    ...encodeAttributes(9, span.attributes),
  );
  if (span.exception !== undefined) {
    const { type, message } = span.exception;
    // How exceptions are recorded: OpenTelemetry, semantic conventions for exceptions on spans.
    const about: Attributes = [
      [printed`exception.type`, type],
      [printed`exception.message`, message],
    ];
    const time = fixed64Field(1, nanoseconds(span.ended));
    parts.push(
      messageField(11, [time, stringField(2, 'exception'), ...encodeAttributes(3, about)]),
      messageField(15, [stringField(2, message), uintField(3, STATUS_ERROR)]),
    );
  }
  const flags = span.parentSpanId === undefined ? FLAG_SAMPLED : FLAG_SAMPLED + FLAGS_REMOTE_PARENT;
  return [...parts, fixed32Field(16, flags)];
}

function encodeAttributes(field: number, attributes: Attributes): Uint8Array[] {
  return attributes.map(([key, value]) => {
    const any = typeof value === 'string' ? stringField(1, value) : messageField(5, value.map(arrayElement));
    return messageField(field, [stringField(1, key), bytesField(2, any)]);
  });
}

function arrayElement(value: Printable): Uint8Array {
  return bytesField(1, stringField(1, value));
}

function nanoseconds(time: Date): bigint {
  return BigInt(time.getTime()) * 1_000_000n;
}
