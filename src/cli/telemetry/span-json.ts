import { type Printable, printed } from '../terminal/printable.ts';
import { type Attributes, FLAG_SAMPLED, FLAGS_REMOTE_PARENT, KIND_INTERNAL, type Span, STATUS_ERROR } from './span.ts';

/**
 * The same export as `encodeExport` makes, in the other encoding of OTLP over HTTP (OTLP specification, "JSON Protobuf
 * Encoding"): names in lowerCamelCase, identifiers in hexadecimal, enumerations as numbers, 64-bit numbers as texts.
 */
export function encodeExportAsJson(
  resource: Attributes,
  scope: { name: Printable; version: Printable },
  span: Span,
): Uint8Array {
  const scopeSpans = [{ scope, spans: [spanOf(span)] }];
  const resourceSpans = [{ resource: { attributes: attributesOf(resource) }, scopeSpans }];
  return Buffer.from(JSON.stringify({ resourceSpans }), 'utf8');
}

function spanOf(span: Span): object {
  const { traceId, spanId, parentSpanId, traceState, name, exception } = span;
  const ended = nanoseconds(span.ended);
  // What is undefined is left out of the text.
  return {
    traceId: hex(traceId),
    spanId: hex(spanId),
    traceState,
    parentSpanId: parentSpanId === undefined ? undefined : hex(parentSpanId),
    flags: parentSpanId === undefined ? FLAG_SAMPLED : FLAG_SAMPLED + FLAGS_REMOTE_PARENT,
    name,
    kind: KIND_INTERNAL,
    startTimeUnixNano: nanoseconds(span.began),
    endTimeUnixNano: ended,
    attributes: attributesOf(span.attributes),
    events: exception === undefined ? undefined : [eventOf(exception, ended)],
    status: exception === undefined ? undefined : { code: STATUS_ERROR, message: exception.message },
  };
}

function eventOf({ type, message }: NonNullable<Span['exception']>, timeUnixNano: string): object {
  const about: Attributes = [
    [printed`exception.type`, type],
    [printed`exception.message`, message],
  ];
  return { timeUnixNano, name: 'exception', attributes: attributesOf(about) };
}

function attributesOf(attributes: Attributes): object[] {
  return attributes.map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? textOf(value) : { arrayValue: { values: value.map(textOf) } },
  }));
}

function textOf(stringValue: Printable): object {
  return { stringValue };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function nanoseconds(time: Date): string {
  return String(BigInt(time.getTime()) * 1_000_000n);
}
