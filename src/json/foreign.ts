/*
 * The one reader for JSON that others wrote: manifests, configurations, answers of registries and token services,
 * Docker's configuration. Each has fields of which we need a few, in kinds that differ from program to program, and all
 * else in it is of other programs: so that it is asked field by field, and not held against a schema. Records of our
 * own have one (valibot; docs/maintainers/architecture.md).
 */

/** A JSON object; what its members are is still to be asked. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * The value that a text is in JSON. The parser's own message is not passed on: it quotes the text, which may be a
 * secret.
 *
 * @param text bytes that are not UTF-8 are no JSON (RFC 8259 §8.1).
 * @returns undefined for what is no JSON; JSON itself knows no such value.
 */
export function parseJson(text: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof text === 'string' ? text : new TextDecoder('utf-8', { fatal: true }).decode(text));
  } catch {
    return undefined;
  }
}

/** Narrows to a JSON object; arrays and null are none. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A member of an object; undefined for one that is absent, and of what is no object. */
export function fieldOf(value: unknown, name: string): unknown {
  return isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/** A member that is a text; undefined for anything else. */
export function textOf(value: unknown, name: string): string | undefined {
  const field = fieldOf(value, name);
  return typeof field === 'string' ? field : undefined;
}
