import type { Repository } from '../../names/repository.ts';
import { isLoopbackHost } from '../../names/ip-address.ts';
import { RegistryAddress } from '../../names/registry-address.ts';
import type { Reference } from '../contract/reference.ts';
import { Refusal } from '../contract/refusal.ts';
import type { PullCommand } from '../settings/beside-api.ts';
import { digestAddress, HOME, repositoryAddress, tagAddress } from './address.ts';
import { bytesOf, gatherImages } from './comparison.ts';
import { type DiskFacts, diskSection, layersSection, plainLayers, sharingSection } from './disk-section.ts';
import { type ImageDetails, readDetails } from './image-details.ts';
import type { ImageReader } from './image-reader.ts';
import type { ImageSummary } from './image-summary.ts';
import { ageOf, documentText } from './layout.ts';
import { asSentence, breakable, html, type Markup } from './markup.ts';
import { comparedNote } from './tags-page.ts';
import type { Viewer } from './viewer.ts';
import { humanBytes } from '../../names/byte-count.ts';

/** The largest manifest whose page is made: as large as registries must take. */
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/** What the page of an image is made from. */
interface Sources {
  readonly reader: ImageReader;
  readonly pullCommand: PullCommand | undefined;
}

interface Addressed {
  readonly repository: Repository;
  readonly reference: Reference;
}

/** The page of an image. @throws Refusal `MANIFEST_UNKNOWN` */
export async function imagePage(viewer: Viewer, addressed: Addressed, sources: Sources): Promise<string> {
  const { repository, reference } = addressed;
  const { content, memory } = viewer;
  const resolved = reference.kind === 'digest' ? reference : await content.tags.resolve(repository, reference.tag);
  const image =
    resolved === undefined
      ? undefined
      : await sources.reader.read(
          content,
          { repository, digest: resolved.digest, byTag: reference.kind === 'tag' },
          { bytes: MAX_MANIFEST_BYTES, memory },
        );
  if (image === undefined) throw new Refusal(404, 'MANIFEST_UNKNOWN', 'the repository has no such image');
  const compared = await gatherImages(sources.reader, viewer, repository);
  const others = compared.images.filter((each) => !each.image.digest.equals(image.digest));
  const details = await readDetails(viewer, repository, image);
  const name = nameOf(addressed);
  const main = html`<h1>${breakable(name)}</h1>
<p class="digest">${image.digest.toString()}</p>
${image.note === undefined ? undefined : html`<p class="warning">${asSentence(image.note)}</p>`}
${image.kind === 'unknown' ? undefined : commandBlock(viewer, sources.pullCommand, { name, image })}
${factsList(viewer, { image, others, details })}
${imageSections({ image, others }, repository, comparedNote(compared, others.length))}
${pairs('Labels', details.labels)}${pairs('Annotations', image.annotations)}`;
  return documentText({
    title: `${name} – ${viewer.host}`,
    crumbs: [
      { href: HOME, text: 'Repositories' },
      { href: repositoryAddress(repository.text), text: repository.text },
      { href: addressOf(addressed), text: reference.kind === 'tag' ? reference.tag.text : 'by digest' },
    ],
    main,
    ...viewer,
  });
}

function imageSections(facts: DiskFacts, repository: Repository, note: Markup): Markup {
  const { image } = facts;
  switch (image.kind) {
    case 'vm':
      return html`${diskSection(facts)}${sharingSection(facts, note)}${layersSection(facts)}`;
    case 'image':
      return html`${plainLayers(image)}${sharingSection(facts, note)}`;
    case 'index':
      return entriesList(image, repository);
    case 'unknown':
      return html``;
  }
}

/** The command that gets the image: of VMs ours, of others only the name that every tool takes. */
function commandBlock(
  viewer: Viewer,
  pullCommand: PullCommand | undefined,
  { name, image }: { readonly name: string; readonly image: ImageSummary },
): Markup {
  const whole = `${viewer.host}/${name}`;
  const isPlain = !viewer.isSecure && !isLoopbackHost(RegistryAddress.tryParse(viewer.host)?.host ?? '');
  const command = image.kind === 'vm' ? pullCommand?.(whole, isPlain) : undefined;
  const label = command === undefined ? 'Name' : 'Pull';
  return html`<div class="command"><span id="command-label">${label}</span>
<code id="command" tabindex="0" role="group" aria-labelledby="command-label">${breakable(command ?? whole)}</code>
<button type="button" data-copy="command" hidden>Copy</button><span class="said" role="status"></span></div>`;
}

function factsList(
  { now }: Viewer,
  { image, others, details }: DiskFacts & { readonly details: ImageDetails },
): Markup {
  const elsewhere = new Set(others.flatMap(({ image: { blobs } }) => [...blobs.keys()]));
  const facts: (readonly [string, string | Markup | undefined])[] = [
    ['Pushed', image.pushedAt === undefined ? undefined : ageOf(image.pushedAt, now)],
    ['Disk', image.diskBytes === undefined ? undefined : humanBytes(image.diskBytes, 1)],
    ['Stored', image.blobs.size === 0 ? undefined : humanBytes(bytesOf(image), 1)],
    [
      'Shared',
      image.blobs.size === 0
        ? undefined
        : humanBytes(
            bytesOf(image, (blob) => elsewhere.has(blob)),
            1,
          ),
    ],
    ['Machine', details.machine],
  ];
  const items = facts.flatMap(([key, value]) =>
    value === undefined ? [] : html`<div><dt>${key}</dt><dd>${value}</dd></div>`,
  );
  return items.length === 0 ? html`` : html`<dl class="facts">${items}</dl>`;
}

function entriesList({ entries }: ImageSummary, repository: Repository): Markup {
  const items = entries.map(({ digest, platform }) => {
    const text = digest.toString();
    const link = html`<a class="digest" href="${digestAddress(repository.text, text)}">${text}</a>`;
    return html`<li>${platform ?? 'any platform'} ${link}</li>`;
  });
  return html`<section><h2>Manifests</h2>
<ul class="entries">${items}</ul></section>`;
}

function pairs(title: string, entries: readonly (readonly [string, string])[]): Markup | undefined {
  if (entries.length === 0) return undefined;
  const items = entries.map(([key, value]) => html`<div><dt>${key}</dt><dd>${value}</dd></div>`);
  return html`<details><summary>${title} <span class="quiet">${entries.length}</span></summary>
<dl class="pairs">${items}</dl></details>`;
}

function nameOf({ repository, reference }: Addressed): string {
  return reference.kind === 'tag'
    ? `${repository.text}:${reference.tag.text}`
    : `${repository.text}@${reference.digest.toString()}`;
}

function addressOf({ repository, reference }: Addressed): string {
  return reference.kind === 'tag'
    ? tagAddress(repository.text, reference.tag.text)
    : digestAddress(repository.text, reference.digest.toString());
}
