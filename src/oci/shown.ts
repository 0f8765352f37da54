import { UNPRINTABLE } from '../names/malformed.ts';

const EACH_UNPRINTABLE = new RegExp(UNPRINTABLE.source, 'g');

/** What a one-line message may show of a text from a document: the beginning of it, nothing that moves the cursor (reliability S35). */
export function shown(text: string, limit = 80): string {
  const short = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return short.replaceAll(EACH_UNPRINTABLE, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
