import { humanBytes } from '../../names/byte-count.ts';
import type { Repository } from '../../names/repository.ts';
import { fieldOf, isJsonObject, parseJson, textOf } from '../../json/foreign.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type Memory, readWhole } from './image-reader.ts';
import type { ImageSummary } from './image-summary.ts';
import { shortened } from './markup.ts';
import type { Viewer } from './viewer.ts';

/** What is in the two small documents of an image, as far as it is shown. */
export interface ImageDetails {
  /** In words: `Linux, arm64, 4 CPUs, 4.3 GB of memory`. */
  readonly machine: string | undefined;
  readonly labels: readonly (readonly [key: string, value: string])[];
}

/** A larger document is not read. */
const MAX_DOCUMENT_BYTES = 64 * 1024;
const MAX_LABELS = 50;
const MAX_LABEL_CHARACTERS = 400;

/** No object: what an image says may be the name of one's inherited property. */
const SYSTEMS: ReadonlyMap<string, string> = new Map([
  ['darwin', 'macOS'],
  ['linux', 'Linux'],
]);

/** Reads the configuration of the VM and of the image. What cannot be read is left out. */
export async function readDetails(
  { content, memory }: Viewer,
  repository: Repository,
  { config, vmConfig }: ImageSummary,
): Promise<ImageDetails> {
  const read = async (descriptor: Descriptor | undefined): Promise<unknown> =>
    descriptor === undefined ? undefined : readDocument(content.blobs, { repository, descriptor, memory });
  const vm = await read(vmConfig);
  return { machine: vm === undefined ? undefined : machineOf(vm), labels: labelsOf(await read(config)) };
}

async function readDocument(
  blobs: Viewer['content']['blobs'],
  {
    repository,
    descriptor,
    memory,
  }: {
    readonly repository: Repository;
    readonly descriptor: Descriptor;
    readonly memory: Memory;
  },
): Promise<unknown> {
  if (descriptor.size > MAX_DOCUMENT_BYTES) return undefined;
  const content = await blobs.open(repository, descriptor.digest);
  if (content === undefined) return undefined;
  try {
    const bytes = await readWhole(content, { bytes: MAX_DOCUMENT_BYTES, memory });
    if (bytes === undefined) return undefined;
    memory.giveBack(bytes.length);
    return parseJson(bytes);
  } finally {
    await content.close();
  }
}

function machineOf(config: unknown): string | undefined {
  const system = textOf(config, 'os');
  const cpus = fieldOf(config, 'cpuCount');
  const memory = fieldOf(config, 'memorySize');
  const words = [
    system === undefined ? [] : shortened(SYSTEMS.get(system) ?? system, 40),
    shortened(textOf(config, 'arch') ?? '', 40),
    isCount(cpus) ? `${cpus} CPU${cpus === 1 ? '' : 's'}` : '',
    isCount(memory) ? `${humanBytes(memory, 1)} of memory` : '',
  ].flat();
  const known = words.filter((word) => word !== '');
  return known.length === 0 ? undefined : known.join(', ');
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

/** OCI image spec, `config.Labels`. */
function labelsOf(config: unknown): ImageDetails['labels'] {
  const labels = fieldOf(fieldOf(config, 'config'), 'Labels');
  if (!isJsonObject(labels)) return [];
  return Object.entries(labels)
    .flatMap(([key, value]) =>
      typeof value === 'string' ? [[shortened(key, 200), shortened(value, MAX_LABEL_CHARACTERS)] as const] : [],
    )
    .slice(0, MAX_LABELS);
}
