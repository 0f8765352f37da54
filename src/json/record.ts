import * as v from 'valibot';
import { parseJson } from './foreign.ts';

/**
 * A record that Tartlet wrote, read back and held against its schema as a whole.
 *
 * @param text undefined where there is no record.
 * @returns undefined for none, and for what is no such record: one of another version, or one that was cut off.
 */
export function parseRecord<Record extends v.GenericSchema>(
  schema: Record,
  text: string | undefined,
): v.InferOutput<Record> | undefined {
  if (text === undefined) return undefined;
  const parsed = v.safeParse(schema, parseJson(text));
  return parsed.success ? parsed.output : undefined;
}
