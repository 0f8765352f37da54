/** A JSON value that can be written; a map writes as an object. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined }
  | ReadonlyMap<string, JsonValue>;

/**
 * Tart's canonical JSON (tart-formats §4.4): keys sorted by their UTF-8 bytes, no white space, `/` written as `\/`,
 * absent optionals left out, empty maps kept. Byte-equal to what Tart writes for the same values.
 */
export function canonicalJson(value: JsonValue): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(sorted(value)).replaceAll('/', '\\/'));
}

function sorted(value: JsonValue): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (isList(value)) return value.map(sorted);
  const entries = value instanceof Map ? [...value.entries()] : Object.entries(value);
  // A null prototype: a label named `__proto__` is a key like any other (reliability C16).
  const result = Object.create(null) as Record<string, unknown>;
  for (const [key, item] of entries.toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
    if (item !== undefined) result[key] = sorted(item as JsonValue);
  }
  return result;
}

function isList(value: object): value is readonly JsonValue[] {
  return Array.isArray(value);
}
