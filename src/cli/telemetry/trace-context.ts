import { randomBytes } from 'node:crypto';

/** The trace and the span that a command runs in. */
export interface TraceContext {
  readonly traceId: Uint8Array;
  readonly parentSpanId: Uint8Array | undefined;
  readonly traceState: string | undefined;
}

/**
 * Reads `TRACEPARENT` (W3C Trace Context §3.2). What cannot be understood begins a new trace, as the specification
 * wants.
 * @returns undefined when the parent is not sampled: then its children are not recorded either.
 */
export function readTraceContext(traceParent: string, traceState: string | undefined): TraceContext | undefined {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(traceParent.trim());
  const [, version, traceId = '', parentId = '', flags = '', rest] = match ?? [];
  const isValid = match !== null && version !== 'ff' && (version !== '00' || rest === undefined);
  if (!isValid || /^0+$/.test(traceId) || /^0+$/.test(parentId)) {
    return { traceId: randomBytes(16), parentSpanId: undefined, traceState: undefined };
  }
  if ((Number.parseInt(flags, 16) & 1) === 0) return undefined;
  return {
    traceId: Buffer.from(traceId, 'hex'),
    parentSpanId: Buffer.from(parentId, 'hex'),
    traceState: traceState === undefined || traceState === '' ? undefined : traceState,
  };
}

/** `K=V,K=V`, as in `CIRRUS_SENTRY_TAGS` and `OTEL_RESOURCE_ATTRIBUTES`; what is no pair is left out. */
export function readPairs(text: string | undefined): Record<string, string> {
  const pairs = (text ?? '').split(',').flatMap((pair) => {
    const equals = pair.indexOf('=');
    const key = pair.slice(0, Math.max(equals, 0)).trim();
    return key === '' ? [] : [[key, pair.slice(equals + 1).trim()] as const];
  });
  return Object.fromEntries(pairs);
}
