import { TartletError } from '../../errors.ts';
import { shownName } from '../../names/malformed.ts';
import { RemoteName } from '../../names/remote-name.ts';
import { inspect, type InspectedFile, type InspectedManifest, type Inspection } from '../../vm/inspect.ts';
import type { InspectedRun } from '../../vm/inspect-run.ts';
import type { Session } from '../../session/session.ts';
import { foldText } from '../terminal/fold.ts';
import { renderJson } from '../render/json.ts';
import { type Printable, printableLines } from '../terminal/printable.ts';
import { humanBytes } from '../render/quantity.ts';
import { type MirrorOptions, mirrorsBy, type ReportOptions, withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

export interface InspectCommandOptions extends ReportOptions, MirrorOptions {
  readonly remote?: true;
  /** Its partitions instead. */
  readonly disk?: true;
  readonly insecure?: true;
  readonly format: 'text' | 'json';
}

export async function runInspect(terminal: Terminal, text: string, options: InspectCommandOptions): Promise<number> {
  if (options.remote === true && !RemoteName.looksRemote(text)) {
    throw new TartletError('USAGE', `--remote asks a registry, and "${shownName(text)}" names a local VM`, {
      next: { kind: 'in-words', words: 'leave out --remote, or write the image as host[:port]/repository[:tag]' },
    });
  }
  if (options.disk === true) {
    const { runDiskTable } = await import('./fleet/disk-contents.ts');
    return runDiskTable(terminal, text, options);
  }
  const show = async (session: Session): Promise<number> => {
    const inspection = await inspect(session, text, {
      where: options.remote === true ? 'remote' : 'here',
      insecure: options.insecure ?? false,
    });
    const { stdout } = terminal;
    stdout.write(options.format === 'json' ? renderJson(inspection) : foldText(toText(inspection), stdout));
    return 0;
  };
  return withSession(terminal, show, { report: options, mirrors: mirrorsBy(options) });
}

function toText(inspection: Inspection): Printable {
  const lines: [string, string | undefined][] = [
    ['Name', inspection.name],
    ['Kind', inspection.kind],
  ];
  if (inspection.kind !== 'remote') {
    const { origin } = inspection;
    lines.push(
      ['Digest', inspection.digest],
      ['State', inspection.state],
      [
        'Memory',
        inspection.savedMemoryBytes === undefined ? undefined : `${bytes(inspection.savedMemoryBytes)}, saved`,
      ],
      ['Run', inspection.run === undefined ? undefined : describeRun(inspection.run)],
      ['Address', inspection.run === undefined ? undefined : describeAddress(inspection.run)],
      ['Layout', inspection.layout],
      ['Path', inspection.path],
      ['Size', bytes(inspection.logicalBytes)],
      ['On disk', bytes(inspection.allocatedBytes)],
      ['Shared', known(inspection.sharedBytes)],
      ['Freeable', known(inspection.reclaimableBytes)],
      ['Last used', inspection.lastUsed],
      ['Pinned', inspection.pinned === undefined ? undefined : inspection.pinned ? 'yes' : 'no'],
      ['Origin', origin === undefined ? 'no record' : describeOrigin(origin)],
    );
    if (inspection.manifestIsOriginal === false)
      lines.push(['Note', 'manifest.json was re-encoded by the Tart that pulled it']);
  } else {
    lines.push(
      ['Digest', inspection.manifest.digest],
      ['Index', inspection.index],
      ['From', inspection.servedBy.join(' and ')],
    );
  }
  const manifest = inspection.manifest === undefined ? [] : manifestLines(inspection.manifest);
  return printableLines(
    [...lines, ...manifest].flatMap(([key, value]) => (value === undefined ? [] : `${`${key}:`.padEnd(11)}${value}`)),
  );
}

function describeRun({ pid, startedAt }: InspectedRun): string {
  return `process ${pid}, since ${startedAt}`;
}

function describeAddress({ address, sshPort }: InspectedRun): string {
  if (address === null) return 'on a bridge; ip asks for it';
  return sshPort === 22 || sshPort === null ? address : `${address}, SSH at port ${sshPort}`;
}

function manifestLines(manifest: InspectedManifest): [string, string | undefined][] {
  return [
    ['Disk', bytes(manifest.diskBytes)],
    ...(manifest.stack ?? []).map(stackLine),
    [
      'Transfer',
      `${bytes(manifest.transferBytes)} in ${manifest.layers.length} layers, ${manifest.chunks} of them disk chunks`,
    ],
    ['Pushed', manifest.uploadTime],
    ['Format', `${manifest.layout}, ${manifest.mediaType}`],
  ];
}

function stackLine(file: InspectedFile): [string, string] {
  const where = file.isStored === undefined ? '' : file.isStored ? ', stored here' : ', missing here';
  return [file.role === 'base' ? 'Base' : 'Overlay', `${bytes(file.bytes)}${where}, ${file.digest}`];
}

function describeOrigin(origin: NonNullable<Extract<Inspection, { origin: unknown }>['origin']>): string {
  switch (origin.via) {
    case 'create':
      return `created here at ${origin.createdAt}, NVRAM in ${origin.nvram} format`;
    case 'clone':
      return `cloned from ${origin.source} at ${origin.clonedAt}`;
    case 'import':
      return `imported from an archive at ${origin.importedAt}, image ${origin.digest}`;
    case 'migration':
      return `${origin.registry}/${origin.repository}, by migration at ${origin.migratedAt}`;
    case 'pull':
    case 'push':
      return (
        `${origin.registry}/${origin.repository}, by ${origin.via} at ${origin.pulledAt}` +
        `${fromMirrors(origin)}${fromPeers(origin)}`
      );
  }
}

/** Who served it beside the registry. */
function fromPeers({ peerBytes }: { readonly peerBytes?: number | undefined }): string {
  return peerBytes === undefined ? '' : `, ${humanBytes(peerBytes)} of it from peers`;
}

function fromMirrors({ servedBy = [] }: { readonly servedBy?: readonly string[] | undefined }): string {
  return servedBy.length === 0 ? '' : `, from ${servedBy.join(' and ')}`;
}

function known(count: number | null): string {
  return count === null ? 'unknown, this file system does not tell' : bytes(count);
}

function bytes(count: number): string {
  return `${humanBytes(count)} (${count} bytes)`;
}
