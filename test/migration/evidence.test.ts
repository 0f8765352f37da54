import { describe, expect, it } from 'vitest';
import {
  type ImageEvidence,
  type ImageVerdict,
  judgeImage,
  judgeLink,
  type LinkVerdict,
} from '../../src/migration/evidence.ts';
import { readHostDirectory } from '../../src/migration/host-directory.ts';
import { readLinkText } from '../../src/migration/link-text.ts';
import { RegistryAddress } from '../../src/names/registry-address.ts';

const at = (text: string): RegistryAddress => RegistryAddress.parse(text);

describe('the name of a host directory', () => {
  it.each<[directory: string, kind: string, registry: string | undefined]>([
    ['ghcr.io', 'canonical', 'ghcr.io'],
    ['registry.corp%3A8221', 'canonical', 'registry.corp:8221'],
    ['[%3A%3A1]%3A5000', 'canonical', '[::1]:5000'],
    ['registry.corp:8221', 'respelled', 'registry.corp:8221'],
    ['10.0.0.1:5000', 'respelled', '10.0.0.1:5000'],
    ['registry.corp%3a8221', 'respelled', 'registry.corp:8221'],
    ['Registry.Corp', 'respelled', 'registry.corp'],
    ['registry.corp%3A0443', 'respelled', 'registry.corp:443'],
    ['my_host', 'unnameable', undefined],
    ['my_host%3A5000', 'unnameable', undefined],
    ['registry.corp%20', 'unnameable', undefined],
    ['registry.corp%3A', 'unnameable', undefined],
    ['registry.corp%3A99999', 'unnameable', undefined],
    ['50%%3A1', 'undecodable', undefined],
    ['registry.corp%3G8221', 'undecodable', undefined],
    ['%ff', 'undecodable', undefined],
  ])('%s is %s', (directory, kind, registry) => {
    const reading = readHostDirectory(directory);
    expect([reading.kind, 'registry' in reading ? reading.registry.toString() : undefined]).toEqual([kind, registry]);
  });
});

describe('the text of a symlink', () => {
  const images = '/home/me/.tart/cache/OCIs';
  it.each<[text: string, target: string | undefined]>([
    [`${images}/h:1/org/b/sha256:aa`, 'h:1 org/b sha256:aa'],
    ['/Users/old/.tart/cache/OCIs/h%3A1/a/sha256:aa', 'h%3A1 a sha256:aa'],
    ['/backup/cache/OCIs/x/cache/OCIs/h/a/sha256:aa', 'h a sha256:aa'],
    // A repository may be called so too, and this home is known.
    [`${images}/h/cache/OCIs/a/sha256:aa`, 'h cache/OCIs/a sha256:aa'],
    [`${images}//h/./a/../b/sha256:aa`, 'h b sha256:aa'],
    ['sha256:aa', 'L org/img sha256:aa'],
    ['./sha256:aa', 'L org/img sha256:aa'],
    ['../../../h:1/a/sha256:aa', 'h:1 a sha256:aa'],
    ['latest', 'L org/img latest'],
    ['/somewhere/else/sha256:aa', undefined],
    ['../../../../h/a/sha256:aa', undefined],
    [`${images}/h/sha256:aa`, undefined],
    [`${images}/../h/a/sha256:aa`, undefined],
    ['', 'L org img'],
  ])('%j names %s', (text, expected) => {
    const target = readLinkText(text, 'L/org/img/latest', images);
    expect(target && `${target.host} ${target.repository} ${target.leaf}`).toBe(expected);
  });
});

describe('a symlink that lies in L and names T (tart-formats §2.7)', () => {
  it.each<[lies: string, names: string, kind: LinkVerdict['kind'], registry?: string]>([
    ['ghcr.io', 'ghcr.io', 'same', 'ghcr.io'],
    ['h%3A5000', 'h%3A5000', 'same', 'h:5000'],
    ['registry.corp', 'registry.corp:8221', 'port-dropped', 'registry.corp:8221'],
    ['registry.corp', 'registry.corp%3A8221', 'port-dropped', 'registry.corp:8221'],
    ['Registry.corp', 'registry.corp:8221', 'port-dropped', 'registry.corp:8221'],
    ['h:5000', 'h', 'populated', 'h:5000'],
    ['h%3A5000', 'h', 'populated', 'h:5000'],
    ['h%3A5000', 'h:5000', 'respelled', 'h:5000'],
    ['h:5000', 'h%3A5000', 'respelled', 'h:5000'],
    ['h%3A0443', 'h%3A443', 'respelled', 'h:443'],
    ['H', 'h', 'respelled', 'h'],
    ['h%3A5000', 'h%3A5001', 'unrelated'],
    ['new.corp', 'old.corp:8221', 'unrelated'],
    ['my_host', 'my_host', 'unrelated'],
    ['my_host', 'my_host:5000', 'unrelated'],
    ['h%3G5000', 'h:5000', 'unrelated'],
  ])('L=%s T=%s: %s', (lies, names, kind, registry) => {
    const verdict = judgeLink(lies, names);
    expect([verdict.kind, verdict.kind === 'unrelated' ? undefined : verdict.registry.toString()]).toEqual([
      kind,
      registry,
    ]);
  });
});

describe('where an image is from', () => {
  type Evidence = Partial<Record<'record' | 'override' | 'alias', string>> & { claims?: string[] };
  const judge = (directory: string, evidenceText: Evidence): string => {
    const { record, override, alias, claims = [] } = evidenceText;
    const evidence: ImageEvidence = {
      directory: readHostDirectory(directory),
      record: record === undefined ? undefined : at(record),
      override: override === undefined ? undefined : at(override),
      alias: alias === undefined ? undefined : at(alias),
      claims: claims.map(at),
    };
    const verdict: ImageVerdict = judgeImage(evidence);
    return verdict.kind === 'known' ? `${verdict.registry.toString()} by ${verdict.by}` : verdict.because;
  };

  it.each<[directory: string, evidenceText: Evidence, verdict: string]>([
    // The directory.
    ['h%3A5000', {}, 'h:5000 by directory'],
    ['h:5000', {}, 'h:5000 by directory'],
    ['h%3A5000', { record: 'h:5001', claims: ['h:5001'] }, 'h:5000 by directory'],
    // The record.
    ['h', { record: 'h:5000' }, 'h:5000 by record'],
    ['h', { record: 'h:5000', claims: ['h', 'h:5001'], override: 'h:5002', alias: 'h:5003' }, 'h:5000 by record'],
    ['h', { record: 'h', claims: ['h:5000'], override: 'h:5000' }, 'h by record'],
    ['h', { record: 'other:5000', claims: ['h:5000'] }, 'record-disagrees'],
    ['my_host', { record: 'h:5000' }, 'h:5000 by record'],
    ['h%3G5000', { record: 'h:5000' }, 'h:5000 by record'],
    // Links.
    ['h', { claims: ['h:5000'] }, 'h:5000 by link'],
    ['h', { claims: ['h'] }, 'h by link'],
    ['h', { claims: ['h:5001', 'h:5000'] }, 'h:5000 by link'],
    ['h', { claims: ['h:5001', 'h'] }, 'h by link'],
    // A symlink of the user's to the whole directory.
    ['h', { alias: 'h:5000' }, 'h:5000 by alias'],
    ['h', { alias: 'h:5000', claims: ['h'] }, 'h:5000 by alias'],
    ['h', { alias: 'h:5000', claims: ['h:5001'] }, 'h:5001 by link'],
    ['h', { alias: 'h:5001', claims: ['h:5000', 'h:5001'] }, 'h:5001 by alias'],
    // The user's override.
    ['h', { override: 'h:5000' }, 'h:5000 by override'],
    ['h', { override: 'h:5000', claims: ['h'] }, 'h:5000 by override'],
    ['h', { override: 'h:5000', claims: ['h:5001'] }, 'h:5001 by link'],
    ['h', { override: 'h:5000', record: 'other:1' }, 'h:5000 by override'],
    ['h%3A5000', { override: 'h:5001' }, 'h:5001 by override'],
    ['h%3A5000', { override: 'h:5001', record: 'h:5000' }, 'h:5000 by directory'],
    ['my_host', { override: 'my-host:5000' }, 'my-host:5000 by override'],
    // Nobody.
    ['h', {}, 'port-unknown'],
    ['my_host', {}, 'unnameable'],
    ['h%3G5000', {}, 'undecodable'],
  ])('%s with %j: %s', (directory, evidenceText, verdict) => {
    expect(judge(directory, evidenceText)).toBe(verdict);
  });
});
