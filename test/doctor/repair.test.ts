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
import { describe, expect, it } from 'vitest';
import type { TransferEvent } from '../../src/session/progress.ts';
import { Session } from '../../src/session/session.ts';
import { runDoctor, type DoctorReport } from '../../src/doctor/run-doctor.ts';
import { examinedHome, type ExaminedHome } from '../support/examined-home.ts';
import { plantStackedVm } from '../support/stacked-image.ts';
import { sha256 } from '../support/tart-image.ts';
import { namesBesideSeal } from '../support/unmodified-marker.ts';

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

function worst({ findings }: DoctorReport): string[] {
  return findings.filter(({ severity }) => severity !== 'note').map(({ id }) => id);
}

/** What lies in quarantine: the items and their records. */
function quarantine({ session }: ExaminedHome): { item: string; record: Record<string, unknown> }[] {
  const directory = session.home.quarantineDirectory;
  if (!existsSync(directory)) return [];
  return readdirSync(directory).map((name) => {
    const item = readdirSync(`${directory}/${name}`).find((each) => each !== 'record.json');
    const record = JSON.parse(readFileSync(`${directory}/${name}/record.json`, 'utf8')) as Record<string, unknown>;
    return { item: `${directory}/${name}/${item}`, record };
  });
}

const basePath = ({ session, stacked }: ExaminedHome): string =>
  `${session.home.contentDirectory}/sha256/${sha256(stacked.levels[0] ?? Buffer.alloc(0)).slice(7)}`;

describe('a damaged chunk', () => {
  it('alone is fetched again, and the disk is byte for byte what was pushed (C26)', async () => {
    const at = await examinedHome();
    flip(`${at.directory}/disk.img`, 24_576);
    at.registry.takeRequests();
    const { repaired } = await runDoctor(at.session, { deep: true, fix: true });
    expect(repaired.map(({ finding, result }) => [finding.id, finding.extent?.chunk, result])).toEqual([
      ['chunk-damaged', 2, 'repaired'],
    ]);
    expect(readFileSync(`${at.directory}/disk.img`)).toEqual(at.image.disk);
    const wanted = JSON.parse(Buffer.from(at.image.manifest).toString()) as { layers: { digest: string }[] };
    const fetched = at.registry.takeRequests().map((request) => request.slice(-71));
    const [config, , , middle, , nvram] = wanted.layers.map(({ digest }) => digest);
    expect(new Set(fetched)).toEqual(new Set([config, middle, nvram]));
    expect(fetched).toHaveLength(3);
  });

  it('is fixed in a copy: a process with the disk open keeps the old one', async () => {
    const at = await examinedHome();
    const damaged = flip(`${at.directory}/disk.img`, 100);
    const fd = openSync(`${at.directory}/disk.img`, 'r');
    try {
      await runDoctor(at.session, { deep: true, fix: true });
      const seen = Buffer.alloc(damaged.length);
      readSync(fd, seen, 0, seen.length, 0);
      expect(seen).toEqual(damaged);
      expect(readFileSync(`${at.directory}/disk.img`)).toEqual(at.image.disk);
    } finally {
      closeSync(fd);
    }
  });

  it('and its tag, mark and other images stay as they are', async () => {
    const at = await examinedHome();
    flip(`${at.directory}/disk.img`, 100);
    writeFileSync(`${at.directory}/.explicitly-pulled`, '');
    await runDoctor(at.session, { deep: true, fix: true });
    expect(readlinkSync(at.tag)).toBe(at.directory);
    expect(namesBesideSeal(at.directory)).toEqual(
      ['.explicitly-pulled', '.origin.json', 'config.json', 'disk.img', 'manifest.json', 'nvram.bin'].sort(),
    );
    expect(readdirSync(at.session.home.stagingDirectory)).toEqual([]);
  });

  it('stays when the registry cannot be asked, and the reason is told', async () => {
    const at = await examinedHome();
    const damaged = flip(`${at.directory}/disk.img`, 100);
    await at.registry.stop();
    const doctorReport = await runDoctor(at.session, { deep: true, fix: true });
    expect(doctorReport.repaired).toMatchObject([
      { result: 'left', text: expect.stringContaining('ECONNREFUSED') as string },
    ]);
    expect(worst(doctorReport)).toEqual(['chunk-damaged']);
    expect(readFileSync(`${at.directory}/disk.img`)).toEqual(damaged);
    expect(quarantine(at)).toEqual([]);
  });
});

describe('an image that its registry no longer has', () => {
  it('goes to quarantine as it is, with a record of its place and its tags', async () => {
    const at = await examinedHome();
    const damaged = flip(`${at.directory}/disk.img`, 100, 30_000);
    forget(at);
    const doctorReport = await runDoctor(at.session, { deep: true, fix: true });
    expect(worst(doctorReport)).toEqual([]);
    const [entry] = quarantine(at);
    expect(entry?.record).toMatchObject({
      schema: 'tartlet.quarantine/v1',
      from: at.directory,
      id: 'chunk-damaged',
      links: [{ path: at.tag, text: at.directory }],
    });
    expect(path.basename(entry?.item ?? '')).toBe(at.image.digest);
    expect(readFileSync(`${entry?.item}/disk.img`)).toEqual(damaged);
    expect(existsSync(at.directory) || existsSync(at.tag)).toBe(false);
    expect(readdirSync(at.session.home.stagingDirectory)).toEqual([]);
    expect(doctorReport.repaired.map(({ result }) => result)).toEqual(['repaired', 'repaired']);
  });

  it('takes its damaged share of the content store with it, and the good ones stay for it', async () => {
    const at = await examinedHome();
    const damaged = flip(basePath(at), 9000);
    forget(at);
    const doctorReport = await runDoctor(at.session, { deep: true, fix: true });
    expect(worst(doctorReport)).toEqual([]);
    const items = quarantine(at).map(({ item }) => path.basename(item));
    expect(items.sort()).toEqual([path.basename(basePath(at)), at.stacked.digest].sort());
    const file = quarantine(at).find(({ item }) => item.endsWith(path.basename(basePath(at))));
    expect(readFileSync(file?.item ?? '')).toEqual(damaged);
    expect(await at.session.contents.collectAlone()).toMatchObject({ deleted: [] });
  });

  it('leaves the share that a local VM stands on, however damaged', async () => {
    const at = await examinedHome();
    plantStackedVm(at.vm, at.stacked);
    const damaged = flip(basePath(at), 9000);
    forget(at);
    const doctorReport = await runDoctor(at.session, { deep: true, fix: true });
    expect(readFileSync(basePath(at))).toEqual(damaged);
    expect(quarantine(at).map(({ item }) => path.basename(item))).toEqual([at.stacked.digest]);
    expect(worst(await runDoctor(at.session, { deep: true }))).toEqual(['content-damaged']);
    expect(doctorReport.repaired).toMatchObject([{ result: 'repaired' }]);
  });
});

it('a shared disk file is fixed in a copy, while a VM has it open', async () => {
  const at = await examinedHome();
  const damaged = flip(basePath(at), 9000);
  const fd = openSync(basePath(at), 'r');
  try {
    const { repaired } = await runDoctor(at.session, { deep: true, fix: true });
    expect(repaired).toMatchObject([{ result: 'repaired' }]);
    const seen = Buffer.alloc(damaged.length);
    readSync(fd, seen, 0, seen.length, 0);
    expect(seen).toEqual(damaged);
    expect(readFileSync(basePath(at))).toEqual(at.stacked.levels[0]);
  } finally {
    closeSync(fd);
  }
});

it('a deep check that is interrupted says how far it came, and changes nothing', async () => {
  const at = await examinedHome();
  const damaged = flip(`${at.directory}/disk.img`, 100);
  const interruption = new AbortController();
  const session = new Session({
    home: at.session.home,
    signal: interruption.signal,
    onEvent: (event: TransferEvent) => {
      if (event.kind === 'finished') interruption.abort(new Error('enough'));
    },
  });
  const doctorReport = await runDoctor(session, { deep: true, fix: true });
  expect(doctorReport.deep).toMatchObject({ isComplete: false, images: 2, imagesChecked: 1 });
  expect(worst(doctorReport)).toEqual(['chunk-damaged']);
  expect(doctorReport.repaired).toEqual([]);
  expect(readFileSync(`${at.directory}/disk.img`)).toEqual(damaged);
});
