import { humanBytes } from '../../names/byte-count.ts';
import type { CacheFacts, CachedRepository } from '../contract/cache-facts.ts';
import { ageOf, bytesCell, documentText, tableRegion } from './layout.ts';
import { breakable, html, type Markup } from './markup.ts';
import type { Viewer } from './viewer.ts';

/** Rows of the table of a cache. */
const MOST_CACHED = 50;

/** The page at `/` of a cache: what it did for each repository, but those that are not public, whose names may tell. */
export function cachePage(viewer: Viewer, facts: CacheFacts, stored: { readonly bytes: number } | undefined): string {
  const { repositories, upstreams, storedBlobs, flights } = facts;
  const shown = repositories.filter(({ isPublic }) => isPublic);
  const hidden = repositories.length - shown.length;
  const rows = shown.slice(0, MOST_CACHED).map((each) => cachedRow(each, viewer.now));
  const earlier = shown.length - rows.length;
  const size = stored === undefined ? '' : `, ${humanBytes(stored.bytes, 1)}`;
  const main = html`<h1>Site cache</h1>
<p class="lead">In front of ${upstreams.join(', ')}. ${storedBlobs.toLocaleString('en')} blobs are here${size};
${flights.toLocaleString('en')} arriving.</p>
${rows.length === 0 ? html`<p class="empty">Nothing public has come through it yet.</p>` : cacheTable(rows)}
${earlier > 0 ? html`<p class="note">And ${earlier} that were used before.</p>` : undefined}
${hidden === 0 ? undefined : html`<p class="note">Not shown: what is not public, ${hidden} in all.</p>`}`;
  return documentText({ title: `Site cache – ${viewer.host}`, crumbs: [], main, ...viewer });
}

function cacheTable(rows: readonly Markup[]): Markup {
  return tableRegion(
    'Repositories',
    html`<table>
<thead><tr><th scope="col">Repository</th><th scope="col" class="number">Hits</th>
<th scope="col" class="number wide">Fetched</th><th scope="col" class="number">Sent</th>
<th scope="col" class="number">Last used</th></tr></thead>
<tbody>${rows}</tbody></table>
<p class="note">Hits: answers from here, of all. Counted since this cache was started.</p>`,
  );
}

function cachedRow(facts: CachedRepository, now: Date): Markup {
  const { upstream, repository, hits, misses, fetchedBytes, servedBytes, lastUse } = facts;
  const asked = hits + misses;
  const share = asked === 0 ? '–' : `${Math.round((hits / asked) * 100)} %`;
  return html`<tr><th scope="row">${breakable(`${upstream}/${repository}`)}</th>
<td class="number" title="${hits} of ${asked}">${share}</td>${bytesCell(fetchedBytes, 'wide')}${bytesCell(servedBytes)}
<td class="number">${ageOf(new Date(lastUse), now)}</td></tr>`;
}
