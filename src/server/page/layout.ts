import { humanBytes } from '../../names/byte-count.ts';
import { relativeTime } from '../../names/relative-time.ts';
import { html, type Markup } from './markup.ts';
import type { Viewer } from './viewer.ts';

/** A place above the page that is shown, from the first to the last. */
export interface Crumb {
  readonly href: string;
  readonly text: string;
}

/** What a whole document is made of. */
interface DocumentParts {
  readonly title: string;
  readonly crumbs: readonly Crumb[];
  readonly main: Markup;
  /** Shown in the header, where they are known. */
  readonly host?: string | undefined;
  readonly user?: string | undefined;
}

/** A whole document, as the text of the answer. */
export function documentText({ title, crumbs, main, host, user }: DocumentParts): string {
  const { text } = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page/style.css">
<script src="/page/script.js" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header>
<a class="brand" href="/"><span class="mark" aria-hidden="true"></span>${host ?? 'Registry'}</a>
${user === undefined ? undefined : html`<span class="user"><span class="quiet">User</span> ${user}</span>`}
</header>
${crumbs.length === 0 ? undefined : breadcrumb(crumbs)}
<main id="main" tabindex="-1">
${main}
</main>
<footer>Served by Tartlet</footer>
</body>
</html>
`;
  return text;
}

/** A table that scrolls by itself where the screen is too narrow, also by the keyboard. */
export function tableRegion(name: string, table: Markup): Markup {
  return html`<div class="table" role="region" aria-label="${name}" tabindex="0">${table}</div>`;
}

/** A cell with a number of bytes; a dash where it is not known. */
export function bytesCell(bytes: number | undefined, extra = ''): Markup {
  if (bytes === undefined) return noneCell(extra);
  const exact = `${bytes.toLocaleString('en')} bytes`;
  return html`<td class="${`number ${extra}`.trim()}" title="${exact}">${humanBytes(bytes, 1)}</td>`;
}

/** A cell with nothing to say. */
export function noneCell(extra = ''): Markup {
  return html`<td class="${`number ${extra}`.trim()}"><span class="quiet" aria-label="not known">–</span></td>`;
}

/** A count with separators. */
export function countCell(count: number, extra = ''): Markup {
  return html`<td class="${`number ${extra}`.trim()}">${count.toLocaleString('en')}</td>`;
}

/** How long ago something was, with the time itself for those who point at it. */
export function ageOf(time: Date, now: Date): Markup {
  const iso = time.toISOString();
  const exact = `${iso.slice(0, 16).replace('T', ' ')} UTC`;
  return html`<time datetime="${iso}" title="${exact}">${relativeTime(time, now)}</time>`;
}

/** The form that leads to the part of a list that begins with a text, and the links to its other parts. */
export function listControls({
  viewer,
  label,
  path,
  next,
}: {
  readonly viewer: Viewer;
  readonly label: string;
  readonly path: string;
  /** The last entry shown, where others are behind it. */
  readonly next: string | undefined;
}): Markup {
  const from = viewer.query.get('from') ?? '';
  const isFirst = from === '' && !viewer.query.has('after');
  const onward = next === undefined ? undefined : `${path}?after=${encodeURIComponent(next)}`;
  return html`<nav class="pages" aria-label="Pages of the list">
<form method="get" action="${path}" role="search"><label for="from">${label}</label>
<input id="from" name="from" value="${from.slice(0, 255)}" autocomplete="off" autocapitalize="off" spellcheck="false">
<button>Go</button></form>
<span class="links">${isFirst ? undefined : html`<a href="${path}">First page</a>`}
${onward === undefined ? undefined : html`<a rel="next" href="${onward}">Next page</a>`}</span>
</nav>`;
}

function breadcrumb(crumbs: readonly Crumb[]): Markup {
  const last = crumbs.length - 1;
  const items = crumbs.map(({ href, text }, at) =>
    at === last
      ? html`<li><a href="${href}" aria-current="page">${text}</a></li>`
      : html`<li><a href="${href}">${text}</a></li>`,
  );
  return html`<nav class="crumbs" aria-label="Breadcrumb"><ol>${items}</ol></nav>`;
}
