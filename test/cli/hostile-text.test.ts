import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import { runHere, terminalHere } from '../support/here.ts';
import { configJson, plantVm } from '../support/home.ts';
import { expectHarmless, HOSTILE, placesIn, spoiled, TRICKS } from '../support/hostile-text.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import { manifestRoute, serveImage } from '../support/scripted-image.ts';
import { type Answer, ScriptedRegistry } from '../support/scripted-registry.ts';
import { json, type JsonObject, sha256, type TinyImage, tinyImage } from '../support/tart-image.ts';

/*
 * S35, S62: whatever text comes from elsewhere, in whichever field, no command shows it as it is. Each command runs in
 * this process, from its command line to its last byte, on a pipe and on a terminal.
 */

const SOURCES = path.resolve(import.meta.dirname, '../../src');
const IMAGE = tinyImage();
const DIGEST = IMAGE.digest;
const UPLOAD_TIME = 'org.cirruslabs.tart.upload-time';
/** A manifest with everything that a manifest can have, and some more. */
const MANIFEST = {
  ...(JSON.parse(Buffer.from(IMAGE.manifest).toString()) as JsonObject),
  artifactType: 'application/x',
  annotations: { 'org.cirruslabs.tart.uncompressed-disk-size': '12288', [UPLOAD_TIME]: '2026-01-01T00:00:00Z', a: 'b' },
};
const CONFIG = { ...(JSON.parse(configJson()) as JsonObject), hardwareModel: 'AAAA', ecid: 'AAAA' };
const ORIGINS: Readonly<Record<string, JsonObject>> = {
  pull: { via: 'pull', registry: 'a.example', repository: 'b', mediaType: 'c', size: 3, pulledAt: 'now' },
  migration: { via: 'migration', registry: 'a.example', repository: 'b', movedFrom: 'c', migratedAt: 'now' },
  clone: { via: 'clone', source: 'a.example/b:c', clonedAt: 'now' },
  create: { via: 'create', createdAt: 'now', nvram: 'apple' },
  import: { via: 'import', importedAt: 'now' },
};

const cleanup = new Cleanup();
let registry: ScriptedRegistry;

beforeAll(async () => {
  registry = await ScriptedRegistry.start();
  cleanup.add(() => registry.close());
});
afterAll(async () => cleanup.run());

/** A manifest that a registry or a cache has under the digest of its own bytes. */
function imageWith(manifest: JsonObject): TinyImage {
  const bytes = json(manifest);
  return { ...IMAGE, manifest: bytes, digest: sha256(bytes) };
}

/** Runs a command line on a pipe, and on a terminal with colours. */
async function expectBothHarmless(workplace: Workplace, argv: readonly string[], what: string) {
  expectHarmless(await runHere(workplace, argv), `${argv.join(' ').slice(0, 100)}, ${what}`);
  expectHarmless(await runHere(workplace, argv, 60), `${argv.join(' ').slice(0, 100)} on a terminal, ${what}`);
}

describe('a text in the command line (S62)', () => {
  const commands = buildProgram(terminalHere(new Workplace(cleanup), []), () => undefined).commands.filter(
    (command) => command.name() !== '__complete',
  );

  it('of what completes for shells, which gives them tabs of its own', async () => {
    for (const words of [[HOSTILE], ['pull', HOSTILE], ['inspect', `a.example/${HOSTILE}`], ['set', HOSTILE, '--']]) {
      const ran = await runHere(new Workplace(cleanup), ['__complete', '--', ...words]);
      const stdout = ran.stdout.replaceAll(/^([a-z-]+)\t/gm, '$1 ');
      expectHarmless({ ...ran, stdout }, `__complete ${words.length}`);
    }
  });

  it.each(commands.map((command) => [command.name(), command] as const))('of %s', async (name, command) => {
    const workplace = new Workplace(cleanup);
    const argument = ['serve', 'demo'].includes(name) ? [HOSTILE, HOSTILE] : [HOSTILE];
    for (const text of [
      HOSTILE,
      `a.example/${HOSTILE}`,
      `user:secret@a.example:1/${HOSTILE}`,
      `a.example/b:${HOSTILE}`,
    ]) {
      await expectBothHarmless(workplace, [name, text], 'as an argument');
      await expectBothHarmless(workplace, [name, text, text, text], 'as many arguments');
    }
    for (const { long = '', required, optional } of command.options) {
      if (!required && !optional) continue;
      await expectBothHarmless(workplace, [name, ...argument, long, HOSTILE, 'vm'], 'as the value of an option');
    }
    await expectBothHarmless(workplace, [name, `--${HOSTILE}`], 'as an option');
  });

  it('of no command', async () => {
    await expectBothHarmless(new Workplace(cleanup), [HOSTILE], 'as a command');
    await expectBothHarmless(new Workplace(cleanup), ['help', HOSTILE], 'as what help is asked for');
  });
});

describe('a text from a registry (S35, S62)', () => {
  const name = (): string => `127.0.0.1:${registry.port}/org/vm:latest`;
  const commands = (): (readonly string[])[] => [
    ['inspect', '--remote', name()],
    ['inspect', '--remote', '--format', 'json', name()],
    ['pull', '--dry-run', name()],
    ['pull', '--format', 'json', '--debug', name()],
    ['clone', name(), 'vm'],
    ['copy', name(), `127.0.0.1:${registry.port}/org/copy:1`],
  ];

  it.each(placesIn(MANIFEST).map((place) => [place.join(' / '), place] as const))(
    'at %s of a manifest',
    async (title, place) => {
      for (const how of ['behind', 'instead'] as const) {
        const image = imageWith(spoiled(MANIFEST, place, HOSTILE, how));
        registry.on('*', { status: 404 });
        serveImage(registry, 'org/vm', 'latest', image);
        const workplace = new Workplace(cleanup);
        for (const argv of commands()) expectHarmless(await runHere(workplace, argv), `${argv.join(' ')}, ${title}`);
      }
    },
    60_000,
  );

  it('that is shown is there, line for line and spelled out', async () => {
    const image = imageWith(
      spoiled(MANIFEST, ['annotations', UPLOAD_TIME], '\u001b]0;x\u0007\nDigest: y\u202e', 'behind'),
    );
    serveImage(registry, 'org/vm', 'latest', image);
    const { stdout } = await runHere(new Workplace(cleanup), ['inspect', '--remote', name()]);
    expect(stdout).toContain('\nPushed:    2026-01-01T00:00:00Z\\u001b]0;x\\u0007 Digest: y\\u202e\n');
    const { stdout: forPrograms } = await runHere(new Workplace(cleanup), [
      'inspect',
      '--remote',
      '--format=json',
      name(),
    ]);
    expect(JSON.parse(forPrograms)).toMatchObject({
      manifest: { uploadTime: '2026-01-01T00:00:00Z\u001b]0;x\u0007\nDigest: y\u202e' },
    });
  });

  const TEXT = Buffer.from(HOSTILE);
  /** What the header lines of Node may hold: no line breaks, no escapes, but C1. */
  const IN_HEADER = `owned\u009b31m\u0085forged: x\u009d0;owned\u009c`;
  const ANSWERS: Readonly<Record<string, Answer>> = {
    'a plain text': { status: 400, body: TEXT },
    'an error page': { status: 400, body: `<html><title>${HOSTILE}</title>` },
    'the code of an error': { status: 400, body: json({ errors: [{ code: HOSTILE, message: 'm' }] }) },
    'the message of an error': { status: 403, body: json({ errors: [{ code: 'DENIED', message: HOSTILE }] }) },
    'the detail of an error': { status: 404, body: json({ errors: [{ code: 'X', detail: { [HOSTILE]: HOSTILE } }] }) },
    'the realm of a challenge': { status: 401, headers: { 'www-authenticate': `Bearer realm="${IN_HEADER}"` } },
    'the scheme of a challenge': { status: 401, headers: { 'www-authenticate': `${IN_HEADER} realm="x"` } },
    'a redirect': { status: 307, headers: { location: `http://${encodeURIComponent(HOSTILE)}.example/${IN_HEADER}` } },
    'a digest': { headers: { 'docker-content-digest': IN_HEADER }, body: IMAGE.manifest },
    'a type': { headers: { 'content-type': IN_HEADER }, body: IMAGE.manifest },
    'headers that --debug shows': { status: 400, headers: { server: IN_HEADER, warning: IN_HEADER, via: IN_HEADER } },
    'a status line': {
      raw: Buffer.from(`HTTP/1.1 400 ${HOSTILE.replaceAll(/[\r\n]/g, '')}\r\ncontent-length: 0\r\n\r\n`),
    },
    'no HTTP': { raw: TEXT },
  };

  it.each(Object.entries(ANSWERS))(
    'in %s',
    async (what, answer) => {
      for (const route of ['GET', 'HEAD', 'PUT']) {
        for (const tag of ['latest', '1']) registry.on(manifestRoute('org/vm', tag).replace('GET', route), answer);
      }
      registry.on('*', answer);
      const workplace = new Workplace(cleanup);
      plantVm(workplace.vmDirectory('vm'));
      const more = [
        ['push', 'vm', name()],
        ['pull', '--debug', '--quiet', name()],
        ['push', '--debug', '--chunk-size=1', 'vm', name()],
      ];
      for (const argv of [...commands(), ...more]) {
        const ran = await runHere(workplace, argv);
        expectHarmless(ran, `${argv.join(' ')}: ${what}`);
      }
    },
    60_000,
  );
});

describe('a text in the files of a home (S62)', () => {
  const NAME = 'a.example:8221/org/vm:1';
  const commands = (): readonly (readonly string[])[] => [
    ['inspect', NAME],
    ['inspect', '--format', 'json', NAME],
    ['inspect', 'vm'],
    ['inspect', '--format', 'json', 'vm'],
    ['get', 'vm'],
    ['get', '--format', 'json', 'vm'],
    ['doctor'],
    ['doctor', '--format', 'json'],
    ['list'],
    ['list', '-q'],
    ['list', '--format', 'json'],
    ['fqn', NAME],
    ['prune', '--older-than', '0', '--dry-run'],
    ['prune', '--older-than', '0', '--dry-run', '--format', 'json'],
    ['set', '--cpu', '5', 'vm'],
    ['clone', NAME, 'copy'],
    ['clone', 'vm', 'duplicate'],
    ['export', 'vm', 'vm.tar'],
    ['push', 'vm', `127.0.0.1:${registry.port}/a/b:c`],
    ['pin', NAME],
    ['rename', 'vm', 'other'],
    ['doctor', '--fix'],
    ['delete', 'other', NAME],
  ];

  interface Files {
    readonly manifest?: JsonObject;
    readonly config?: JsonObject;
    readonly origin?: JsonObject;
  }

  function homeWith({ manifest = MANIFEST, config = CONFIG, origin }: Files): Workplace {
    const workplace = new Workplace(cleanup);
    const directory = path.join(workplace.home, 'cache/OCIs/a.example%3A8221/org/vm', sha256(json(manifest)));
    for (const at of [directory, workplace.vmDirectory('vm')]) {
      plantVm(at);
      writeFileSync(`${at}/config.json`, json(config));
      if (origin !== undefined) writeFileSync(`${at}/.origin.json`, json(origin));
    }
    writeFileSync(`${directory}/manifest.json`, json(manifest));
    writeFileSync(`${workplace.vmDirectory('vm')}/.base-manifest.json`, json(manifest));
    symlinkSync(directory, path.join(path.dirname(directory), '1'));
    return workplace;
  }

  const DOCUMENTS: readonly (readonly [what: string, document: JsonObject, files: (document: JsonObject) => Files])[] =
    [
      ['a manifest', MANIFEST, (manifest) => ({ manifest })],
      ['a configuration', CONFIG, (config) => ({ config })],
      ...Object.entries(ORIGINS).map(([via, origin]) => {
        const whole = { version: 1, digest: DIGEST, ...origin };
        return [`the record of a ${via}`, whole, (spoiledOne: JsonObject) => ({ origin: spoiledOne })] as const;
      }),
    ];
  const PLACES = DOCUMENTS.flatMap(([what, document, files]) =>
    placesIn(document).map((place) => [`${place.join(' / ')} of ${what}`, document, place, files] as const),
  );

  it.each(PLACES)(
    'at %s',
    async (title, document, place, files) => {
      for (const how of ['behind', 'instead'] as const) {
        const workplace = homeWith(files(spoiled(document, place, HOSTILE, how)));
        for (const argv of commands().slice(0, 8))
          expectHarmless(await runHere(workplace, argv), `${argv.join(' ')}, ${title}`);
      }
    },
    60_000,
  );

  beforeAll(() => void registry.on('*', { status: 400, body: HOSTILE }));

  it('anywhere, whatever tricks, and whichever command', async () => {
    const tricks = fc.array(fc.constantFrom(...TRICKS, 'plain', ' '), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...PLACES),
        tricks,
        fc.constantFrom('behind', 'instead'),
        async ([title, document, place, files], text, how) => {
          const workplace = homeWith(files(spoiled(document, place, text.join(''), how)));
          for (const argv of commands()) await expectBothHarmless(workplace, argv, title);
        },
      ),
      { numRuns: 8 },
    );
  }, 120_000);

  it('in the names of files and directories, and where links lead', async () => {
    const workplace = homeWith({});
    const name = HOSTILE.replaceAll('\0', '').replaceAll('/', '').slice(0, 60);
    plantVm(workplace.vmDirectory(name));
    plantVm(path.join(workplace.home, 'cache/OCIs', name, 'a/b', DIGEST));
    const repository = path.join(workplace.home, 'cache/OCIs/a.example%3A8221/org');
    plantVm(path.join(repository, name, DIGEST));
    mkdirSync(path.join(repository, 'vm', name));
    symlinkSync(`/nowhere/${name}`, path.join(repository, 'vm', 'dangling'));
    symlinkSync(path.join(repository, 'vm', name), path.join(repository, 'vm', `to-${name}`));
    for (const argv of commands()) await expectBothHarmless(workplace, argv, 'in the names of files');
  });

  it('in the name of the home itself', async () => {
    const workplace = new Workplace(cleanup, {
      home: path.join(cleanup.directory(), HOSTILE.replaceAll(/[\0/]/g, '')),
    });
    plantVm(workplace.vmDirectory('vm'));
    for (const argv of commands()) await expectBothHarmless(workplace, argv, 'in the name of the home');
  });
});

it('a text is taken for printable as it is in few places, each of which can say why', () => {
  const uses = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('terminal/printable.ts'))
    .flatMap((file) => {
      const text = readFileSync(path.join(SOURCES, file), 'utf8');
      const count = text.match(/\bownText\(|\bas Printable\b|\bas Text\b/g)?.length ?? 0;
      return count === 0 ? [] : [`${file}: ${count}`];
    });
  expect(uses.toSorted()).toEqual([
    'cli/completion/complete.ts: 1', // words of ours, with the tabs that shells want
    'cli/completion/completion.ts: 1', // likewise
    'cli/render/fit-name.ts: 2', // a printable name, cut
    'cli/render/live-block.ts: 2', // movements of the cursor around printable lines
    'cli/render/table.ts: 4', // cells that were made printable, and spaces
    'cli/terminal/fold.ts: 1', // a printable text, in more lines
    'cli/terminal/login-input.ts: 1', // what the user types, while they type it
    'cli/terminal/width.ts: 4', // a printable text, cut or with spaces behind it
  ]);
});
