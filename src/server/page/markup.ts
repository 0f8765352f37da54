import { spelledOut } from '../../names/unprintable.ts';

/*
 * The one way to HTML: a string becomes part of a page as text, and only what this module made is markup. So a name, a
 * label or an annotation that looks like markup is shown as it is written.
 */

class MadeMarkup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** HTML whose parts that came from elsewhere are text. Only {@link html} makes it. */
export type Markup = MadeMarkup;

type Part = string | number | Markup | readonly Markup[] | undefined;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * A template of HTML: ``html`<p title="${name}">${name}</p>` ``. Strings are escaped so that they stay text in an
 * element and in a quoted attribute, and characters that act on what is around them are spelled out; undefined is
 * nothing. Do not put strings anywhere else: not into an unquoted attribute, a script or a style.
 */
export function html(texts: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new MadeMarkup(texts.reduce((whole, text, at) => `${whole}${partText(parts[at - 1])}${text}`));
}

/** A message of ours, which begins small and has no end, as a sentence. */
export function asSentence(message: string): string {
  const end = /[.!?]$/.test(message) ? '' : '.';
  return `${message.slice(0, 1).toUpperCase()}${message.slice(1)}${end}`;
}

/** A long name that may be broken behind its separators, rather than within its words. */
export function breakable(name: string): Markup {
  const parts = name.split(/(?<=[/:@])/);
  return html`${parts.map((part, at) => (at === 0 ? html`${part}` : html`<wbr>${part}`))}`;
}

/** The beginning of a text that came from elsewhere, and a sign that there is more. */
export function shortened(text: string, characters: number): string {
  return text.length <= characters ? text : `${text.slice(0, characters)}…`;
}

function partText(part: Part): string {
  if (part === undefined) return '';
  if (typeof part === 'number') return String(part);
  if (typeof part === 'string') return spelledOut(part).replaceAll(/[&<>"']/g, (letter) => ENTITIES[letter] ?? '');
  return part instanceof MadeMarkup ? part.text : part.map(({ text }) => text).join('');
}
