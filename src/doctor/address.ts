import path from 'node:path';
import type { Hint } from '../hint.ts';
import type { Home } from '../home/home.ts';
import { surveyCache } from '../migration/migrate.ts';
import { finding, type Finding } from './finding.ts';

/** What is known of the addresses of a cache, and what is not. */
export interface AddressReport {
  readonly findings: readonly Finding[];
  /** Paths about which this has the last word: others need not complain about their names and symlinks. */
  readonly explained: ReadonlySet<string>;
  /** Whether migration would do anything, protecting images from Tart's collection included. */
  readonly needsMigration: boolean;
}

/**
 * What migration would do, and what it leaves for want of evidence (tart-formats §2.7). A registry without any is one
 * finding.
 * @throws TartletError `DISK_*` when the cache cannot be read.
 */
export function checkAddresses(home: Home): AddressReport {
  const survey = surveyCache({ home });
  const findings: Finding[] = [];
  const explained = new Set<string>();
  for (const { from, to, because } of survey.moves) {
    explained.add(from);
    const message = `it belongs to ${to.registry.toString()}, as its ${because} tells`;
    findings.push(finding('address-old', from, message, { name: to.toString(), remedy: { kind: 'migrate' } }));
  }
  for (const { from, to, text } of survey.links) {
    explained.add(from);
    const message = from === to ? `it should say ${text}` : `its place is ${to}`;
    findings.push(finding('address-old', from, message, { remedy: { kind: 'migrate' } }));
  }
  const unknown = new Map<string, number>();
  for (const { path: at, because } of survey.stays) {
    if (because === 'collision') {
      const next: Hint = { kind: 'delete-one-of-two' };
      findings.push(finding('address-taken', at, 'another kind of name has its place', { next }));
      explained.add(at);
    } else if (because === 'port-unknown') {
      const registry = path.relative(home.imagesDirectory, at).split('/')[0] ?? '';
      unknown.set(registry, (unknown.get(registry) ?? 0) + 1);
    }
  }
  for (const [registry, count] of unknown) {
    const which = count === 1 ? 'its image was' : `${count} of its images were`;
    const message = `nothing tells whether ${which} pulled from a port`;
    findings.push(finding('address-unknown', `${home.imagesDirectory}/${registry}`, message, { name: registry }));
  }
  return { findings, explained, needsMigration: survey.needed };
}
