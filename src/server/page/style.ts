/**
 * How the page looks: one quiet column, numbers under each other, light or dark as the reader's system is. It is served
 * as a file of its own, because the page allows no style within itself.
 */
export const STYLE = `:root {
  color-scheme: light dark;
  --paper: #fcfbf9;
  --raised: #f4f1ec;
  --ink: #22252a;
  --quiet: #5d636b;
  --line: #e2ddd5;
  --link: #834a12;
  --own: #b5652b;
  --shared: #3f74a5;
  --zeros: #8f8a82;
  --warning: #8c2f1b;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #17191c;
    --raised: #202327;
    --ink: #e5e2dc;
    --quiet: #a0a5ab;
    --line: #32363b;
    --link: #e3a873;
    --own: #d08c4f;
    --shared: #74a4d4;
    --zeros: #767b81;
    --warning: #f0a08c;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto;
  max-width: 62rem;
  padding: 0 1.25rem 3rem;
  background: var(--paper);
  color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  overflow-wrap: anywhere;
}
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: 0.18em; }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 2px solid var(--shared); outline-offset: 2px; border-radius: 2px; }
main:focus { outline: none; }
h1 { margin: 0 0 0.25rem; font-size: 1.75rem; line-height: 1.25; font-weight: 600; letter-spacing: -0.01em; }
h2 { margin: 2.75rem 0 0.75rem; font-size: 1.125rem; font-weight: 600; }
p { margin: 0.5rem 0; }
.quiet, .lead, .note, .user, footer { color: var(--quiet); }
.note { font-size: 0.875rem; max-width: 44rem; }
.lead { margin: 0 0 1.5rem; }
.warning { color: var(--warning); }
.empty { margin: 2rem 0; }
.skip { position: absolute; left: 1rem; top: -4rem; padding: 0.5rem 1rem; }
.skip { background: var(--raised); color: var(--ink); }
.skip:focus { top: 0.5rem; z-index: 1; }
header {
  display: flex;
  flex-wrap: wrap;
  gap: 0.25rem 1rem;
  justify-content: space-between;
  align-items: baseline;
  padding: 1.1rem 0;
  border-bottom: 1px solid var(--line);
  margin-bottom: 1.25rem;
}
.brand { color: var(--ink); font-weight: 600; text-decoration: none; }
.brand:hover { text-decoration: underline; }
.mark {
  display: inline-block;
  width: 0.8rem;
  height: 0.8rem;
  margin-right: 0.55rem;
  border-radius: 50%;
  border: 0.2rem solid var(--own);
}
.user, footer { font-size: 0.875rem; }
footer { margin-top: 3.5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
.crumbs ol { display: flex; flex-wrap: wrap; margin: 0 0 1.25rem; padding: 0; list-style: none; font-size: 0.875rem; }
.crumbs li + li::before { content: "›"; margin: 0 0.5rem; color: var(--quiet); }
.crumbs [aria-current] { color: var(--quiet); text-decoration: none; }
.table { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 0.55rem 0.75rem 0.55rem 0; text-align: left; vertical-align: baseline; }
th, td { border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
thead th { font-size: 0.8125rem; font-weight: 500; color: var(--quiet); white-space: nowrap; }
tbody th { font-weight: 500; }
tbody tr:hover { background: var(--raised); }
.number { width: 1%; padding-left: 1rem; text-align: right; white-space: nowrap; }
.number { font-variant-numeric: tabular-nums lining-nums; }
.mark-kind { font-size: 0.8125rem; font-weight: 400; color: var(--quiet); white-space: nowrap; }
.digest { font-family: var(--mono); font-size: 0.8125rem; color: var(--quiet); }
a.digest { color: var(--link); }
.pages { display: flex; flex-wrap: wrap; gap: 0.75rem 1.5rem; justify-content: space-between; align-items: center; }
.pages { margin: 1.25rem 0; }
.pages form { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }
.pages label { font-size: 0.875rem; color: var(--quiet); }
.links { display: flex; gap: 1.25rem; }
input, button {
  font: inherit;
  font-size: 0.875rem;
  padding: 0.3rem 0.65rem;
  border: 1px solid var(--zeros);
  border-radius: 4px;
  background: var(--paper);
  color: var(--ink);
}
input { width: 11rem; max-width: 100%; }
button { cursor: pointer; background: var(--raised); }
button:hover { border-color: var(--ink); }
.command {
  display: flex;
  flex-wrap: wrap;
  gap: 0.5rem 0.85rem;
  align-items: center;
  margin: 1.5rem 0;
  padding: 0.75rem 1rem;
  background: var(--raised);
  border-radius: 6px;
}
.command > span:first-child, .said { font-size: 0.8125rem; color: var(--quiet); }
.said:empty { display: none; }
.command code { flex: 1 1 14rem; font-family: var(--mono); font-size: 0.875rem; user-select: all; }
.facts { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.5rem 0 0; }
.facts dt, .pairs dt { font-size: 0.8125rem; color: var(--quiet); }
.facts dd { margin: 0; font-variant-numeric: tabular-nums; }
.pairs { margin: 0.5rem 0 1rem; }
.pairs div { padding: 0.45rem 0; border-bottom: 1px solid var(--line); }
.pairs dt, .pairs dd { margin: 0; }
.pairs dd { font-family: var(--mono); font-size: 0.8125rem; white-space: pre-wrap; }
details { margin-top: 1.5rem; }
summary { cursor: pointer; width: fit-content; font-weight: 500; }
.entries { padding-left: 1.1rem; }
figure { margin: 0 0 1.5rem; }
.disk { display: block; width: 100%; height: 9rem; shape-rendering: crispEdges; }
.disk .own, .key.own { fill: var(--own); background: var(--own); }
.disk .shared, .key.shared { fill: var(--shared); background: var(--shared); }
.disk .ground { fill: var(--zeros); }
.key.zeros { background: var(--zeros); height: 2px; }
.scale { display: flex; justify-content: space-between; margin-top: 0.25rem; font-size: 0.75rem; color: var(--quiet);
  font-variant-numeric: tabular-nums; }
figcaption { margin-top: 0.4rem; max-width: 44rem; font-size: 0.875rem; color: var(--quiet); }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.5rem; margin: 0; padding: 0; list-style: none; }
.legend { font-size: 0.8125rem; }
.key { display: inline-block; width: 0.75rem; height: 0.75rem; margin-right: 0.5rem; vertical-align: middle; }
td.strip, th.strip { width: 45%; }
td.strip { vertical-align: middle; }
.places { display: block; width: 100%; height: 0.8rem; background: var(--raised); fill: var(--shared);
  shape-rendering: crispEdges; }
tbody tr:hover .places { background: var(--paper); }
@media (max-width: 40rem) {
  body { padding: 0 1rem 2rem; font-size: 0.9375rem; }
  h1 { font-size: 1.375rem; }
  .wide { display: none; }
  th, td { padding-right: 0.6rem; }
  .disk { height: 7rem; }
  .number { padding-left: 0.25rem; }
  td.strip, th.strip { width: 26%; }
  th.strip { white-space: normal; }
}
@media print { .pages, .skip, button { display: none; } }
`;
