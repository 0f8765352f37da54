import { describeError, isTartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { LocalName } from '../names/local-name.ts';
import { MAX_MANIFEST_BYTES, parseManifest, requireImage } from '../oci/manifest.ts';
import { parseTartImage, stackedFiles } from '../oci/tart-image.ts';
import type { ContentStore } from '../home/content/content-store.ts';
import type { Home } from '../home/home.ts';
import { DIRECTORY_LOCK } from '../fs/lock/lock.ts';
import { SCRATCH_BESIDE_VMS } from '../home/home-entry.ts';
import { lookAtLocalVm, VmFile, type VmLayout, whyNoVm } from '../home/vm-directory.ts';
import type { AccessCheck } from './access.ts';
import { contentProblem } from './content.ts';
import { finding, type Finding, unreadable } from './finding.ts';
import { checkLazyVm } from './lazy-vm.ts';
import { kindText, lookAt, lookInto, readSmallFile, whyUnreadable } from '../fs/probe.ts';

/** Larger ones are refused by programs that run the VM (reliability §0.2). */
const MAX_CONFIG_BYTES = 16 * 1024 * 1024;

/**
 * Understands a VM's `config.json`; throws a `TartletError` that says what is wrong with it. The floor of VMs knows
 * how.
 */
export type ConfigReader = (bytes: Uint8Array, whose: string) => unknown;

/** Looks at the VMs of this machine. Nothing is ever done about them: they exist only here (reliability L4). */
export function checkLocalVms(
  home: Home,
  contents: ContentStore,
  access: AccessCheck,
  readConfig: ConfigReader,
): Finding[] {
  const entries = lookInto(home.vmsDirectory);
  if (entries.kind === 'failed') return [unreadable(home.vmsDirectory, entries.why)];
  if (entries.kind === 'gone') return [];
  const findings: Finding[] = [...access.lookIfThere(home.vmsDirectory)];
  for (const entry of entries.value) {
    const at = `${home.vmsDirectory}/${entry.name}`;
    const look = lookAt(at);
    if (look.kind === 'gone' || entry.name === DIRECTORY_LOCK) continue;
    if (entry.name === SCRATCH_BESIDE_VMS && lookAt(`${at}/${VmFile.config}`).kind === 'gone') continue;
    if (LocalName.tryParse(entry.name) === undefined || !(entry.isDirectory() || entry.isSymbolicLink())) {
      findings.push(finding('foreign-entry', at, `${kindText(entry)} that is no VM`));
      continue;
    }
    if (look.kind === 'found') findings.push(...access.look(at, look.value));
    findings.push(...checkVm(at, entry.name, contents, readConfig));
  }
  return findings;
}

function checkVm(at: string, name: string, contents: ContentStore, readConfig: ConfigReader): Finding[] {
  const directory = lookAt(`${at}/${VmFile.config}`);
  if (directory.kind === 'failed') return [unreadable(at, directory.why, name)];
  const files = Object.values(VmFile).filter((file) => lookAt(`${at}/${file}`).kind !== 'gone');
  if (files.length === 0) return [finding('foreign-entry', at, 'a directory that is no VM')];
  const config = readSmallFile(`${at}/${VmFile.config}`, MAX_CONFIG_BYTES);
  const findings: Finding[] = [];
  for (const file of [VmFile.nvram, VmFile.disk, VmFile.overlay]) {
    const why = whyUnreadable(`${at}/${file}`);
    if (why !== undefined) findings.push(unreadable(`${at}/${file}`, why, name));
  }
  if (config.kind === 'failed' && config.isKept) {
    findings.push(unreadable(`${at}/${VmFile.config}`, config.why, name));
  } else if (config.kind === 'failed') {
    findings.push(finding('vm-config', `${at}/${VmFile.config}`, `it cannot be read: ${config.why}`, { name }));
  } else if (config.kind === 'found') {
    const problem = problemOf(() => readConfig(config.value, `the VM "${name}"`));
    if (problem !== undefined) findings.push(finding('vm-config', `${at}/${VmFile.config}`, problem, { name }));
  }
  const layout = layoutOf(at);
  if (layout === undefined || layout === 'stacked-cached') {
    const message = `${files.join(', ')} make no VM: ${whyNoVm(at)}`;
    findings.push(finding('vm-incomplete', at, message, { name, next: { kind: 'restore-missing' } }));
  }
  if (layout === 'lazy') findings.push(...checkLazyVm(at, name));
  if (layout === 'stacked-local') findings.push(...checkStack(at, name, contents));
  return findings;
}

/** A VM on top of shared disk files is lost without any of them. */
function checkStack(at: string, name: string, contents: ContentStore): Finding[] {
  const read = readSmallFile(`${at}/${VmFile.manifest}`, MAX_MANIFEST_BYTES);
  if (read.kind === 'gone') return [];
  const next: Hint = { kind: 'pull-origin' };
  if (read.kind === 'failed')
    return [
      read.isKept
        ? unreadable(`${at}/${VmFile.manifest}`, read.why, name)
        : finding('vm-content-missing', at, `its manifest cannot be read: ${read.why}`, { name }),
    ];
  const findings: Finding[] = [];
  const problem = problemOf(() => {
    const image = parseTartImage(requireImage(parseManifest(read.value), name), name);
    // A stacked clone of a flat image keeps its manifest, with the digest of the whole file added (tart-formats §4.8).
    const { fileDigest, size } = image.base;
    const base = fileDigest === undefined ? [] : [{ fileDigest, size }];
    for (const file of image.layout === 'stacked' ? stackedFiles(image) : base) {
      const missing = contentProblem(contents, file);
      if (missing === undefined) continue;
      findings.push(finding('vm-content-missing', at, `${file.fileDigest.toString()} ${missing}`, { name, next }));
    }
  });
  if (problem !== undefined)
    findings.push(finding('vm-content-missing', at, `its manifest cannot be understood: ${problem}`, { name }));
  return findings;
}

function layoutOf(at: string): VmLayout | undefined {
  try {
    return lookAtLocalVm(at)?.layout;
  } catch (error) {
    if (isTartletError(error)) return undefined; // Changed since we looked.
    throw error;
  }
}

function problemOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (isTartletError(error)) return describeError(error);
    throw error;
  }
}
