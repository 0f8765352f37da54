import { spelledOut } from '../names/unprintable.ts';

/**
 * What a one-line message may show of a text from a document: the beginning of it, nothing that moves the cursor
 * (reliability S35).
 */
export function shown(text: string, limit = 80): string {
  const short = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return spelledOut(short);
}
