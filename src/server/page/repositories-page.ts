import { humanBytes } from '../../names/byte-count.ts';
import { Repository } from '../../names/repository.ts';
import type { RepositoryUses } from '../metrics/repository-use.ts';
import { HOME, repositoryAddress } from './address.ts';
import { ageOf, bytesCell, countCell, documentText, listControls, noneCell, tableRegion } from './layout.ts';
import { pageOfList } from './list-page.ts';
import { breakable, html, type Markup } from './markup.ts';
import type { Viewer } from './viewer.ts';

/** Tags of a repository are counted up to here. */
const MOST_COUNTED = 100;

/** What the page of all repositories is made from. */
interface Sources {
  readonly uses: RepositoryUses;
  /** Of everything that is stored; undefined where it is not known. */
  readonly stored: { readonly blobs: number; readonly bytes: number } | undefined;
}

/** The page at `/`: the repositories that the viewer may read, and what they were used for. */
export async function repositoriesPage(viewer: Viewer, { uses, stored }: Sources): Promise<string> {
  const { catalog } = viewer.content;
  const page = await pageOfList(
    viewer.query,
    async (request) => catalog.list(request),
    async (name) => Repository.tryParseBySpec(name) !== undefined && (await hasTags(viewer, name)) !== undefined,
  );
  const rows: Markup[] = [];
  for (const name of page.entries) {
    if (viewer.mayRead(name)) rows.push(await repositoryRow(viewer, name, uses));
  }
  const main = html`<h1>Repositories</h1>
${stored === undefined ? undefined : storedSentence(stored)}
${rows.length === 0 ? emptyList(viewer) : repositoryTable(rows)}
${listControls({ viewer, label: 'Go to name', path: HOME, next: page.more ? page.entries.at(-1) : undefined })}`;
  return documentText({ title: `Repositories – ${viewer.host}`, crumbs: [], main, ...viewer });
}

function storedSentence({ blobs, bytes }: NonNullable<Sources['stored']>): Markup {
  const count = `${blobs.toLocaleString('en')} blob${blobs === 1 ? '' : 's'}`;
  return html`<p class="lead">${humanBytes(bytes, 1)} stored in ${count}, each once.</p>`;
}

function repositoryTable(rows: readonly Markup[]): Markup {
  return tableRegion(
    'Repositories',
    html`<table>
<thead><tr><th scope="col">Name</th><th scope="col" class="number">Tags</th><th scope="col" class="number">Pulls</th>
<th scope="col" class="number wide">Sent</th><th scope="col" class="number">Last used</th></tr></thead>
<tbody>${rows}</tbody></table>
<p class="note">Pulls, bytes and times are counted since this server was started.</p>`,
  );
}

async function repositoryRow(viewer: Viewer, name: string, uses: RepositoryUses): Promise<Markup> {
  const tags = await hasTags(viewer, name);
  const use = uses.of(name);
  const count =
    tags?.more === true ? html`<td class="number">over ${MOST_COUNTED}</td>` : countCell(tags?.entries.length ?? 0);
  const used =
    use === undefined ? noneCell() : html`<td class="number">${ageOf(new Date(use.lastUsedAt), viewer.now)}</td>`;
  return html`<tr><th scope="row"><a href="${repositoryAddress(name)}">${breakable(name)}</a></th>
${count}${countCell(use?.pulls ?? 0)}${bytesCell(use?.sentBytes, 'wide')}${used}</tr>`;
}

async function hasTags({ content }: Viewer, name: string): ReturnType<Viewer['content']['tags']['list']> {
  const repository = Repository.tryParseBySpec(name);
  return repository === undefined ? undefined : content.tags.list(repository, { size: MOST_COUNTED, after: undefined });
}

function emptyList({ query }: Viewer): Markup {
  const isFirst = !query.has('from') && !query.has('after');
  return isFirst
    ? html`<p class="empty">There is nothing here yet. What is pushed to this registry appears on this page.</p>`
    : html`<p class="empty">No repository that you can read is in this part of the list.</p>`;
}
