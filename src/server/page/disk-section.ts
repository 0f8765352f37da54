import { humanBytes } from '../../names/byte-count.ts';
import { tagAddress } from './address.ts';
import { bytesOf, type NamedImage } from './comparison.ts';
import type { ImageSummary, SummaryChunk, SummaryFile } from './image-summary.ts';
import { bytesCell, countCell, tableRegion } from './layout.ts';
import { breakable, html, type Markup } from './markup.ts';
import { diskPicture, placesPicture } from './picture.ts';

/** Rows of the tables below the picture. */
const MAX_LAYERS = 256;
const MAX_SHARING = 20;

/** An image, and the others that it is compared with. */
export interface DiskFacts {
  readonly image: ImageSummary;
  readonly others: readonly NamedImage[];
}

/** The disk of a VM image as pictures, what they show in words, and who shares what. */
export function diskSection({ image, others }: DiskFacts): Markup {
  const elsewhere = new Set(others.flatMap(({ image: { blobs } }) => [...blobs.keys()]));
  const isShared = (blob: string): boolean => elsewhere.has(blob);
  const figures = image.files.map((file, at) => figure(file, nameOf(at, image.files.length), isShared));
  return html`<section><h2>Disk</h2>${figures}
<ul class="legend"><li><span class="key own" aria-hidden="true"></span>Upward: only in this image</li>
<li><span class="key shared" aria-hidden="true"></span>Downward: shared with others</li>
<li><span class="key zeros" aria-hidden="true"></span>Line: zeros</li>
<li class="quiet">Height: stored bytes for each byte of the disk</li></ul></section>`;
}

/** The images that share the most with this one, each with where it is. @param note what they were compared with. */
export function sharingSection({ image, others }: DiskFacts, note: Markup): Markup {
  const sharing = others
    .map((other) => ({ other, bytes: bytesOf(image, (blob) => other.image.blobs.has(blob)) }))
    .filter(({ bytes }) => bytes > 0)
    .sort((one, two) => two.bytes - one.bytes);
  const [file] = image.files;
  const rows = sharing.slice(0, MAX_SHARING).map(({ other, bytes }) => {
    const { repository, tag } = other;
    const has = (blob: string): boolean => other.image.blobs.has(blob);
    const places = file === undefined ? undefined : html`<td class="strip">${placesPicture(file, has)}</td>`;
    const link = html`<a href="${tagAddress(repository, tag)}">${breakable(`${repository}:${tag}`)}</a>`;
    return html`<tr><th scope="row">${link}</th>${places}
${bytesCell(bytes)}</tr>`;
  });
  const where = file === undefined ? undefined : html`<th scope="col" class="strip">Where on the disk</th>`;
  const table = tableRegion(
    'Shared with',
    html`<table>
<thead><tr><th scope="col">Image</th>${where}<th scope="col" class="number">Stored once</th></tr></thead>
<tbody>${rows}</tbody></table>`,
  );
  const more = sharing.length - rows.length;
  return html`<section><h2>Shared with</h2>
${rows.length === 0 ? html`<p>No other image has a part of this one.</p>` : table}
${more > 0 ? html`<p class="note">And ${more} other images that share less.</p>` : undefined}${note}</section>`;
}

/** The layers of the disk one by one, folded away: the text behind the picture. */
export function layersSection({ image, others }: DiskFacts): Markup {
  const counts = new Map<string, number>();
  for (const {
    image: { blobs },
  } of others) {
    for (const blob of blobs.keys()) counts.set(blob, (counts.get(blob) ?? 0) + 1);
  }
  const all = image.files.flatMap((file, at) =>
    file.chunks.map((chunk) => ({ chunk, of: nameOf(at, image.files.length) })),
  );
  const rows = all.slice(0, MAX_LAYERS).map(({ chunk, of }) => layerRow(chunk, of, counts.get(chunk.blob) ?? 0));
  const more = all.length - rows.length;
  const table = tableRegion(
    'Layers',
    html`<table>
<thead><tr><th scope="col">Part</th><th scope="col" class="number">From</th><th scope="col" class="number">Size</th>
<th scope="col" class="number">Stored</th><th scope="col">What</th></tr></thead><tbody>${rows}</tbody></table>`,
  );
  const count = html`<span class="quiet">${all.length.toLocaleString('en')}</span>`;
  return html`<details><summary>Layers of the disk ${count}</summary>
${table}${more > 0 ? html`<p class="note">And ${more.toLocaleString('en')} more.</p>` : undefined}</details>`;
}

function layerRow({ offset, size, stored, isZeros }: SummaryChunk, of: string, others: number): Markup {
  const what = isZeros ? 'zeros' : others === 0 ? 'only here' : `shared with ${others}`;
  return html`<tr><th scope="row">${of}</th>${bytesCell(offset)}${bytesCell(size)}${bytesCell(stored)}
<td>${what}</td></tr>`;
}

function figure(file: SummaryFile, name: string, isShared: (blob: string) => boolean): Markup {
  const data = file.chunks.filter(({ isZeros }) => !isZeros);
  const sum = (chunks: readonly SummaryChunk[]): number => chunks.reduce((bytes, { size }) => bytes + size, 0);
  const shared = data.filter(({ blob }) => isShared(blob));
  const zeros = file.size - sum(data);
  const words =
    `${name} of ${humanBytes(file.size, 1)}: ${humanBytes(sum(data), 1)} in parts with data, ` +
    (shared.length === 0 ? 'none of it in other images' : `${humanBytes(sum(shared), 1)} of it in other images too`) +
    (zeros === 0 ? '.' : `; ${humanBytes(zeros, 1)} in parts with zeros only.`);
  return html`<figure>${diskPicture(file, words, isShared)}
<div class="scale" aria-hidden="true"><span>0</span><span>${humanBytes(file.size / 2, 1)}</span>
<span>${humanBytes(file.size, 1)}</span></div>
<figcaption>${words}</figcaption></figure>`;
}

function nameOf(at: number, count: number): string {
  if (count === 1) return 'Disk';
  return at === 0 ? 'Base disk' : `Overlay ${at}`;
}

/** The layers of an image that is no VM. */
export function plainLayers({ blobs }: ImageSummary): Markup {
  const rows = [...blobs]
    .slice(0, MAX_LAYERS)
    .map(([blob, size], at) => html`<tr>${countCell(at + 1)}<td class="digest">${blob}</td>${bytesCell(size)}</tr>`);
  const more = blobs.size - rows.length;
  return html`<section><h2>Blobs</h2>${tableRegion(
    'Blobs',
    html`<table>
<thead><tr><th scope="col" class="number">No.</th><th scope="col">Digest</th><th scope="col" class="number">Stored</th>
</tr></thead><tbody>${rows}</tbody></table>`,
  )}${more > 0 ? html`<p class="note">And ${more.toLocaleString('en')} more.</p>` : undefined}</section>`;
}
