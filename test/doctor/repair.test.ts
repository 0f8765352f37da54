import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { TransferEvent } from '../../src/session/progress.ts';
import { Session } from '../../src/session/session.ts';
import { examine, type Examination } from '../../src/doctor/examine.ts';
import { examinedHome, type ExaminedHome } from '../support/examined-home.ts';
import { plantStackedVm } from '../support/stacked-image.ts';
import { sha256 } from '../support/tart-image.ts';
import { namesBesideSeal } from '../support/seal.ts';

function flip(file: string, ...offsets: number[]): Buffer {
  const bytes = readFileSync(file);
  for (const offset of offsets) bytes[offset] = (bytes[offset] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  return bytes;
}

/** From now on the registry knows nothing. */
function forget({ registry }: ExaminedHome): void {
  registry.meddle = (_request, response) => {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"gone"}]}');
    return true;
  };
}

function worst({ findings }: Examination): string[] {
  return findings.filter(({ severity }) => severity !== 'note').map(({ id }) => id);
}

/** What lies in quarantine: the items and their records. */
function quarantine({ session }: ExaminedHome): { item: string; record: Record<string, unknown> }[] {
  const folder = session.home.quarantineFolder;
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((name) => {
    const item = readdirSync(`${folder}/${name}`).find((each) => each !== 'record.json');
    const record = JSON.parse(readFileSync(`${folder}/${name}/record.json`, 'utf8')) as Record<string, unknown>;
    return { item: `${folder}/${name}/${item}`, record };
  });
}

const basePath = ({ session, stacked }: ExaminedHome): string =>
  `${session.home.contentFolder}/sha256/${sha256(stacked.levels[0] ?? Buffer.alloc(0)).slice(7)}`;

describe('a damaged chunk', () => {
  test('alone is fetched again, and the disk is byte for byte what was pushed (C26)', async () => {
    const at = await examinedHome();
    flip(`${at.folder}/disk.img`, 24_576);
    at.registry.takeRequests();
    const { mended } = await examine(at.session, { deep: true, fix: true });
    expect(mended.map(({ finding, result }) => [finding.id, finding.stretch?.chunk, result])).toEqual([
      ['chunk-damaged', 2, 'mended'],
    ]);
    expect(readFileSync(`${at.folder}/disk.img`)).toEqual(at.image.disk);
    const wanted = JSON.parse(Buffer.from(at.image.manifest).toString()) as { layers: { digest: string }[] };
    const fetched = at.registry.takeRequests().map((request) => request.slice(-71));
    const [config, , , middle, , nvram] = wanted.layers.map(({ digest }) => digest);
    expect(new Set(fetched)).toEqual(new Set([config, middle, nvram]));
    expect(fetched).toHaveLength(3);
  });

  test('is healed in a copy: whoever has the disk open keeps what they have', async () => {
    const at = await examinedHome();
    const damaged = flip(`${at.folder}/disk.img`, 100);
    const fd = openSync(`${at.folder}/disk.img`, 'r');
    try {
      await examine(at.session, { deep: true, fix: true });
      const seen = Buffer.alloc(damaged.length);
      readSync(fd, seen, 0, seen.length, 0);
      expect(seen).toEqual(damaged);
      expect(readFileSync(`${at.folder}/disk.img`)).toEqual(at.image.disk);
    } finally {
      closeSync(fd);
    }
  });

  test('and its tag, mark and other images stay as they are', async () => {
    const at = await examinedHome();
    flip(`${at.folder}/disk.img`, 100);
    writeFileSync(`${at.folder}/.explicitly-pulled`, '');
    await examine(at.session, { deep: true, fix: true });
    expect(readlinkSync(at.tag)).toBe(at.folder);
    expect(namesBesideSeal(at.folder)).toEqual(
      ['.explicitly-pulled', '.origin.json', 'config.json', 'disk.img', 'manifest.json', 'nvram.bin'].sort(),
    );
    expect(readdirSync(at.session.home.stagingFolder)).toEqual([]);
  });

  test('stays when the registry cannot be asked, and the reason is told', async () => {
    const at = await examinedHome();
    const damaged = flip(`${at.folder}/disk.img`, 100);
    await at.registry.stop();
    const examination = await examine(at.session, { deep: true, fix: true });
    expect(examination.mended).toMatchObject([
      { result: 'left', text: expect.stringContaining('ECONNREFUSED') as string },
    ]);
    expect(worst(examination)).toEqual(['chunk-damaged']);
    expect(readFileSync(`${at.folder}/disk.img`)).toEqual(damaged);
    expect(quarantine(at)).toEqual([]);
  });
});

describe('an image that its registry no longer has', () => {
  test('goes to quarantine as it is, with a record of its place and its tags', async () => {
    const at = await examinedHome();
    const damaged = flip(`${at.folder}/disk.img`, 100, 30_000);
    forget(at);
    const examination = await examine(at.session, { deep: true, fix: true });
    expect(worst(examination)).toEqual([]);
    const [entry] = quarantine(at);
    expect(entry?.record).toMatchObject({
      schema: 'tartlet.quarantine/v1',
      from: at.folder,
      id: 'chunk-damaged',
      links: [{ path: at.tag, text: at.folder }],
    });
    expect(path.basename(entry?.item ?? '')).toBe(at.image.digest);
    expect(readFileSync(`${entry?.item}/disk.img`)).toEqual(damaged);
    expect(existsSync(at.folder) || existsSync(at.tag)).toBe(false);
    expect(readdirSync(at.session.home.stagingFolder)).toEqual([]);
    expect(examination.mended.map(({ result }) => result)).toEqual(['mended', 'mended']);
  });

  test('takes its damaged share of the content store with it, and the good ones stay for it', async () => {
    const at = await examinedHome();
    const damaged = flip(basePath(at), 9000);
    forget(at);
    const examination = await examine(at.session, { deep: true, fix: true });
    expect(worst(examination)).toEqual([]);
    const items = quarantine(at).map(({ item }) => path.basename(item));
    expect(items.sort()).toEqual([path.basename(basePath(at)), at.stacked.digest].sort());
    const file = quarantine(at).find(({ item }) => item.endsWith(path.basename(basePath(at))));
    expect(readFileSync(file?.item ?? '')).toEqual(damaged);
    expect(await at.session.contents.collectAlone()).toMatchObject({ deleted: [] });
  });

  test('leaves the share that a local VM stands on, however damaged', async () => {
    const at = await examinedHome();
    plantStackedVm(at.vm, at.stacked);
    const damaged = flip(basePath(at), 9000);
    forget(at);
    const examination = await examine(at.session, { deep: true, fix: true });
    expect(readFileSync(basePath(at))).toEqual(damaged);
    expect(quarantine(at).map(({ item }) => path.basename(item))).toEqual([at.stacked.digest]);
    expect(worst(await examine(at.session, { deep: true }))).toEqual(['content-damaged']);
    expect(examination.mended).toMatchObject([{ result: 'mended' }]);
  });
});

test('a shared disk file is healed in a copy, while a VM has it open', async () => {
  const at = await examinedHome();
  const damaged = flip(basePath(at), 9000);
  const fd = openSync(basePath(at), 'r');
  try {
    const { mended } = await examine(at.session, { deep: true, fix: true });
    expect(mended).toMatchObject([{ result: 'mended' }]);
    const seen = Buffer.alloc(damaged.length);
    readSync(fd, seen, 0, seen.length, 0);
    expect(seen).toEqual(damaged);
    expect(readFileSync(basePath(at))).toEqual(at.stacked.levels[0]);
  } finally {
    closeSync(fd);
  }
});

test('a deep check that is interrupted says how far it came, and changes nothing', async () => {
  const at = await examinedHome();
  const damaged = flip(`${at.folder}/disk.img`, 100);
  const interruption = new AbortController();
  const session = new Session({
    home: at.session.home,
    signal: interruption.signal,
    onEvent: (event: TransferEvent) => {
      if (event.kind === 'finished') interruption.abort(new Error('enough'));
    },
  });
  const examination = await examine(session, { deep: true, fix: true });
  expect(examination.deep).toMatchObject({ isComplete: false, images: 2, imagesChecked: 1 });
  expect(worst(examination)).toEqual(['chunk-damaged']);
  expect(examination.mended).toEqual([]);
  expect(readFileSync(`${at.folder}/disk.img`)).toEqual(damaged);
});
