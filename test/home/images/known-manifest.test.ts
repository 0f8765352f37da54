import { utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { knownManifests, namesContent } from '../../../src/home/images/known-manifest.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import type { Session } from '../../../src/session/session.ts';
import { digestOf, freshSession, plantImage, plantVm } from '../../support/home.ts';
import { configLayer, diskLayer, fakeDigest, manifestOf, nvramLayer } from '../../support/tart-image.ts';

/** A manifest of chunks with these contents. */
function manifestWith(...contents: string[]): Uint8Array {
  const chunks = contents.map((content) =>
    diskLayer(
      { digest: fakeDigest(content) },
      { 'org.cirruslabs.tart.uncompressed-content-digest': fakeDigest(content) },
    ),
  );
  return manifestOf([configLayer(), ...chunks, nvramLayer()]);
}

function plant(session: Session, repository: string, digit: string, ...contents: string[]): string {
  const directory = plantImage(session, repository, digestOf(digit));
  writeFileSync(`${directory}/manifest.json`, manifestWith(...contents));
  return directory;
}

/** Who has what is wanted, in the order of the search, when each takes away what it has. */
function owners(session: Session, wanted: string[], near?: string): string[] {
  const left = new Set(wanted.map(fakeDigest));
  const search = near === undefined ? { wanted: left } : { wanted: left, near: RemoteName.parse(near) };
  const found: string[] = [];
  for (const { owner, image } of knownManifests(session.home, session.vms, search)) {
    found.push(owner.kind === 'partial' ? owner.hex : owner.name.toString());
    for (const chunk of image.base.chunks) left.delete(chunk.contentDigest.toString());
  }
  return found;
}

describe('manifests that name a wanted content', () => {
  it('are found in images, VMs and unfinished pulls, and only those that do', () => {
    const session = freshSession();
    plant(session, 'a.example/org/one', '1', 'a');
    plant(session, 'b.example/org/two', '2', 'b');
    plantVm(`${session.home.vmsDirectory}/ci`);
    writeFileSync(`${session.home.vmsDirectory}/ci/.base-manifest.json`, manifestWith('c'));
    const hex = '3'.repeat(64);
    plantVm(`${session.home.stagingDirectory}/${hex}`);
    writeFileSync(`${session.home.stagingDirectory}/${hex}/manifest.json`, manifestWith('d'));
    expect(owners(session, ['a', 'c', 'd'])).toEqual([`a.example/org/one@${digestOf('1')}`, 'ci', hex]);
  });

  it('the newest image of the same repository comes first', () => {
    const session = freshSession();
    plant(session, 'a.example/org/one', '1', 'a');
    const old = plant(session, 'b.example/org/two', '2', 'a');
    const young = plant(session, 'b.example/org/two', '3', 'b');
    utimesSync(old, 1000, 1000);
    utimesSync(young, 2000, 2000);
    expect(owners(session, ['a', 'b'], 'b.example/org/two:next')).toEqual([
      `b.example/org/two@${digestOf('3')}`,
      `b.example/org/two@${digestOf('2')}`,
    ]);
  });

  it('the search ends when nothing is wanted any more, and passes over what only repeats', () => {
    const session = freshSession();
    for (const digit of ['1', '2', '3']) plant(session, `a.example/org/image${digit}`, digit, 'a');
    expect(owners(session, ['a'])).toHaveLength(1);
    expect(owners(session, ['a', 'b'])).toHaveLength(1);
  });

  it('what cannot be read or understood is passed over', () => {
    const session = freshSession();
    const broken = plantImage(session, 'a.example/org/broken', digestOf('1'));
    writeFileSync(`${broken}/manifest.json`, Buffer.from(manifestWith('a')).subarray(0, -10));
    plantImage(session, 'a.example/org/without', digestOf('2'));
    plant(session, 'a.example/org/good', '3', 'a');
    expect(owners(session, ['a'])).toEqual([`a.example/org/good@${digestOf('3')}`]);
  });
});

describe('whether a text names a content', () => {
  const KEY = 'org.cirruslabs.tart.uncompressed-content-digest';
  it.each([
    ['as Tart writes it', `{"${KEY}":"x"}`, true],
    ['with blanks', `{ "${KEY}" : "x" }`, true],
    ['after others', `[{"${KEY}":"y"},{"${KEY}":"x"}]`, true],
    ['another content', `{"${KEY}":"y"}`, false],
    ['in another annotation', '{"other":"x"}', false],
    ['cut off in the value', `{"${KEY}":"x`, false],
    ['cut off before it', `{"${KEY}"`, false],
    ['empty', '', false],
  ])('%s', (_, text, expected) => {
    expect(namesContent(new TextEncoder().encode(text), new Set(['x']))).toBe(expected);
  });
});
