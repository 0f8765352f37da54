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
  return new TextEncoder().encode(written(value).replaceAll('/', '\\/'));
}

/**
 * Objects are put together by hand: a JavaScript object moves keys like `10` and `9` to its front, in numeric order, so
 * `JSON.stringify` cannot keep the order of user labels. A label named `__proto__` is a key like any other (reliability
 * C16).
 */
function written(value: JsonValue): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (isList(value)) return `[${value.map(written).join(',')}]`;
  const members = (isMap(value) ? [...value] : Object.entries(value))
    .toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .flatMap(([key, item]) => (item === undefined ? [] : `${JSON.stringify(key)}:${written(item)}`));
  return `{${members.join(',')}}`;
}

function isList(value: object): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function isMap(value: object): value is ReadonlyMap<string, JsonValue> {
  return value instanceof Map;
}
