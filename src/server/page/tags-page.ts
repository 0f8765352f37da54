import type { Repository } from '../../names/repository.ts';
import { Tag } from '../../names/tag.ts';
import { Refusal } from '../contract/refusal.ts';
import type { RepositoryUse } from '../metrics/repository-use.ts';
import { HOME, repositoryAddress, tagAddress } from './address.ts';
import { bytesOf, type Comparison, countBlobs, gatherImages, readTags } from './comparison.ts';
import type { ImageReader } from './image-reader.ts';
import type { ImageSummary } from './image-summary.ts';
import { ageOf, bytesCell, documentText, listControls, noneCell, tableRegion } from './layout.ts';
import { pageOfList } from './list-page.ts';
import { breakable, html, type Markup } from './markup.ts';
import type { Viewer } from './viewer.ts';
import { humanBytes } from '../../names/byte-count.ts';

/** What the page of a repository is made from. */
interface Sources {
  readonly reader: ImageReader;
  readonly use: RepositoryUse | undefined;
}

/** The page of a repository: its tags, and what each costs. @throws Refusal `NAME_UNKNOWN` */
export async function tagsPage(viewer: Viewer, repository: Repository, { reader, use }: Sources): Promise<string> {
  const { tags } = viewer.content;
  const page = await pageOfList(
    viewer.query,
    async (request) => tags.list(repository, request),
    async (text) => {
      const tag = Tag.tryParseBySpec(text);
      return tag !== undefined && (await tags.resolve(repository, tag)) !== undefined;
    },
  );
  if (page === undefined) throw new Refusal(404, 'NAME_UNKNOWN', 'there is no such repository');
  const images = new Map<string, ImageSummary>();
  const read = readTags(reader, viewer, { repository, tags: page.entries });
  for await (const [tag, image] of read) images.set(tag, image);
  const compared = await gatherImages(reader, viewer, repository);
  const distinct = new Map(
    [...compared.images.map(({ image }) => image), ...images.values()].map((image) => [image.digest.toString(), image]),
  );
  const counts = countBlobs(distinct.values());
  const rows = [...images].map(([tag, image]) => tagRow(viewer, { repository, tag, image, counts }));
  const path = repositoryAddress(repository.text);
  const main = html`<h1>${breakable(repository.text)}</h1>
${useSentence(use, viewer.now)}
${rows.length === 0 ? html`<p class="empty">There is no tag in this part of the list.</p>` : tagTable(rows)}
${listControls({ viewer, label: 'Go to tag', path, next: page.more ? page.entries.at(-1) : undefined })}
${comparedNote(compared, distinct.size)}`;
  return documentText({
    title: `${repository.text} – ${viewer.host}`,
    crumbs: [
      { href: HOME, text: 'Repositories' },
      { href: path, text: repository.text },
    ],
    main,
    ...viewer,
  });
}

/** What "shared" is about, in words. */
export function comparedNote({ isComplete }: Comparison, count: number): Markup {
  if (count === 0) return html`<p class="note">There is no other image that you can read here.</p>`;
  const images = `${count} image${count === 1 ? '' : 's'}`;
  return html`<p class="note">Shared: bytes that another image needs too, so that deleting this one would not free them.
Compared with ${images}, ${isComplete ? 'all that you can read here' : 'not with all'}.</p>`;
}

function useSentence(use: RepositoryUse | undefined, now: Date): Markup {
  if (use === undefined) return html`<p class="lead">Not pulled since this server was started.</p>`;
  const { pulls, sentBytes, lastUsedAt } = use;
  const times = pulls === 1 ? 'once' : `${pulls.toLocaleString('en')} times`;
  const used = ageOf(new Date(lastUsedAt), now);
  return html`<p class="lead">Pulled ${times} since this server was started, ${humanBytes(sentBytes, 1)} sent, last used
${used}.</p>`;
}

function tagTable(rows: readonly Markup[]): Markup {
  return tableRegion(
    'Tags',
    html`<table>
<thead><tr><th scope="col">Tag</th><th scope="col" class="number">Pushed</th><th scope="col" class="number">Disk</th>
<th scope="col" class="number wide">Stored</th><th scope="col" class="number">Shared</th></tr></thead>
<tbody>${rows}</tbody></table>`,
  );
}

interface Row {
  readonly repository: Repository;
  readonly tag: string;
  readonly image: ImageSummary;
  readonly counts: ReadonlyMap<string, number>;
}

function tagRow({ now }: Viewer, { repository, tag, image, counts }: Row): Markup {
  const name = html`<th scope="row"><a href="${tagAddress(repository.text, tag)}">${tag}</a>${kindMark(image)}</th>`;
  const age = image.pushedAt === undefined ? noneCell() : html`<td class="number">${ageOf(image.pushedAt, now)}</td>`;
  if (image.blobs.size === 0) return html`<tr>${name}${age}${noneCell()}${noneCell('wide')}${noneCell()}</tr>`;
  const shared = bytesOf(image, (blob) => (counts.get(blob) ?? 0) > 1);
  return html`<tr>${name}${age}${bytesCell(image.diskBytes)}${bytesCell(bytesOf(image), 'wide')}
${bytesCell(shared)}</tr>`;
}

/** Said of what is no VM. */
const KIND_WORDS = { vm: undefined, image: 'other image', index: 'index', unknown: 'not readable' } as const;

function kindMark({ kind, note }: ImageSummary): Markup | undefined {
  const words = note === undefined ? KIND_WORDS[kind] : KIND_WORDS.unknown;
  return words === undefined ? undefined : html` <span class="mark-kind">${words}</span>`;
}
