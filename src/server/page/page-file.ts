import { createHash } from 'node:crypto';
import { SCRIPT } from './script.ts';
import { STYLE } from './style.ts';

/** A file that pages are made with: the same for everybody, and nothing of what is stored. */
export interface PageFile {
  readonly mediaType: string;
  readonly text: string;
  /** In quotes, as the header has it. */
  readonly etag: string;
}

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">' +
  '<circle cx="8" cy="8" r="5.5" fill="none" stroke="#b5652b" stroke-width="3.5"/></svg>\n';

const FILES: ReadonlyMap<string, PageFile> = new Map([
  ['style.css', file('text/css; charset=utf-8', STYLE)],
  ['script.js', file('text/javascript; charset=utf-8', SCRIPT)],
  ['icon.svg', file('image/svg+xml', ICON)],
]);

/** The file of a name, below `/page/`. */
export function pageFile(name: string): PageFile | undefined {
  return FILES.get(name);
}

function file(mediaType: string, text: string): PageFile {
  const etag = `"${createHash('sha256').update(text).digest('hex').slice(0, 32)}"`;
  return { mediaType, text, etag };
}
