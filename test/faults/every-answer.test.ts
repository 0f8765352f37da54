import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCodeOf } from '../../src/cli/render/exit-code.ts';
import { isTartletError } from '../../src/errors.ts';
import { Home } from '../../src/home/home.ts';
import { Digest } from '../../src/names/digest.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { Repository } from '../../src/names/repository.ts';
import { RegistryClient } from '../../src/registry/client.ts';
import { limits, type Limits } from '../../src/registry/request/limits.ts';
import { copyImage } from '../../src/transfer/copy/copy.ts';
import { inLanes } from '../../src/chunks/lanes.ts';
import { checkLogin } from '../../src/transfer/login.ts';
import { pull } from '../../src/transfer/pull/pull.ts';
import { Session } from '../../src/session/session.ts';
import { inspect } from '../../src/vm/inspect.ts';
import { pushVm } from '../../src/vm/push.ts';
import { plantImage, plantVm } from '../support/home.ts';
import { HonestRegistry, type Step } from '../support/honest-registry.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';
import type { Answer } from '../support/scripted-registry.ts';
import { fakeDigest, sha256, type TinyImage, tinyImage } from '../support/tart-image.ts';

/*
 * Every step of every command that talks to a registry, answered with every status there can be. Whatever the answer:
 * the command ends, a failure says so in a code of its own, and after a success everything is there when it is asked
 * for again. A push whose first question was answered 400 once stored nothing and ended with 0 (its promise was never
 * settled).
 */

const STATUSES = Array.from({ length: 500 }, (_, index) => index + 100);

/**
 * For what starts threads; that the others are no different is shown by what sends and reads the same without threads.
 */
const SOME = [100, 200, 201, 202, 204, 302, 304, 400, 401, 403, 404, 405, 410, 413, 416, 429, 500, 501, 503];

/** Whatever is no mount leads to an upload. */
const MOUNTS = STATUSES.filter((status) => status >= 200 && ![301, 302, 303, 307, 308].includes(status));

/** Tried again at once, and not often. */
const QUICK: Partial<Limits> = { backoffMs: 0, backoffCapMs: 0, attempts: 2, headersMs: 5_000, bodyIdleMs: 5_000 };

/** Nothing here takes a hundredth of it where the machine is not busy, in milliseconds. */
const NEVER_MS = 60_000;

/** For all answers to one step, on a machine that does a dozen other things, in milliseconds. */
const TABLE_MS = 180_000;

const LANES = 8;

const cleanup = new Cleanup();
/** What is read, and what is written. */
let source: HonestRegistry;
let target: HonestRegistry;
let session: Session;

const IMAGE = tinyImage();
/** Small, to be copied thousands of times. */
const WITHOUT_DISK = tinyImage({ chunks: [] });

/** VMs to push, those that are not being pushed now: a push has its VM for itself. */
const idle = Array.from({ length: LANES }, (_, index) => `vm-${index}`);

beforeAll(async () => {
  source = await HonestRegistry.start();
  target = await HonestRegistry.start();
  cleanup.add(() => source.server.close());
  cleanup.add(() => target.server.close());
  session = newSession();
  for (const vm of idle) plantVm(`${session.home.vmsDirectory}/${vm}`, 'a disk', '7e:12:34:56:78:9a');
  source.plant('cached/image', '1', IMAGE);
  source.plant('small/image', '1', WITHOUT_DISK);
  await pull(session, nameAt(source, 'cached/image'), { insecure: true });
  await pushVm(session, 'vm-0', [nameAt(target, 'pushed/before')], { insecure: true, reproducible: true });
});
afterAll(async () => cleanup.run());

function newSession(): Session {
  return new Session({
    home: new Home(`${cleanup.directory()}/home`),
    limits: QUICK,
    credentials: (name) => ({
      find: async () => ({
        kind: 'password',
        registry: name.registry,
        username: 'ci',
        password: 'x',
        source: 'a test',
      }),
    }),
  });
}

/** An answer with this status and nothing in it that would make sense of it. */
function answerOf(status: number): Answer {
  if (status < 200) return { raw: `HTTP/1.1 ${status} Interim\r\n\r\n` };
  if (status % 2 === 0 || status === 304) return { status };
  return { status, body: '{"errors":[{"code":"ODD","message":"an unexpected answer"}]}' };
}

/** How one command ended: its exit code. @throws Error when it never ended, or failed without a reason of its own. */
async function ending(work: Promise<unknown>): Promise<number> {
  let timer: NodeJS.Timeout | undefined;
  const never = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('it never ended')), NEVER_MS);
  });
  try {
    await Promise.race([work, never]);
    return 0;
  } catch (error) {
    if (!isTartletError(error) || error.code === 'INTERNAL') throw error;
    return exitCodeOf(error);
  } finally {
    clearTimeout(timer);
  }
}

interface Command {
  readonly name: string;
  /** Whose answers are replaced. */
  readonly at: () => HonestRegistry;
  /** @param repository one of this run alone. */
  readonly run: (repository: string) => Promise<unknown>;
  /** What is not there after a success. */
  readonly missing: (repository: string) => readonly string[] | Promise<readonly string[]>;
  /** Steps, and the statuses with which the command still succeeds. */
  readonly steps: readonly (readonly [Step, readonly number[]])[];
  /** What the repository has before. */
  readonly prepare?: (repository: string) => void;
  readonly wantsToken?: true;
  /** How many at once. Where requests name no repository, one. */
  readonly lanes?: number;
  /** Default: all. */
  readonly statuses?: readonly number[];
}

function nameAt(registry: HonestRegistry, repository: string): RemoteName {
  return RemoteName.parse(`${registry.server.authority}/${repository}:1`);
}

async function pushSomeVm(repository: string): Promise<void> {
  const vm = idle.pop() ?? '';
  // Content that no push has sent before: it would be mounted.
  writeFileSync(`${session.home.vmsDirectory}/${vm}/disk.img`, repository);
  try {
    await pushVm(session, vm, [nameAt(target, repository)], { insecure: true, reproducible: true });
  } finally {
    idle.push(vm);
  }
}

function missingAt(registry: () => HonestRegistry): Command['missing'] {
  return (repository) => registry().lacks(repository, '1');
}

/** The repository has all blobs of the VMs but that of the disk, which threads send. */
function haveSmallBlobs(repository: string): void {
  for (const [key, bytes] of target.blobs) {
    const [from, digest] = key.split(' ');
    if (from === 'pushed/before' && !isDisk(bytes)) target.blobs.set(`${repository} ${digest}`, bytes);
  }
}

function isDisk(blob: Buffer): boolean {
  return blob.toString('latin1', 0, 3) === 'bv4';
}

/**
 * The registry says what it does only in the status that the specification has for it; in all others it does nothing.
 */
const TRUE_WORD: Partial<Record<Step, number>> = {
  'ask for the registry': 200,
  'get a token': 200,
  'read a blob': 200,
  'read the manifest': 200,
  'mount a blob': 201,
  'start an upload': 202,
  'send the rest': 201,
  'store the manifest': 201,
  'move the tag': 201,
  'delete the manifest': 202,
};

const LOGIN = { username: 'ci', password: 'x', insecure: true, userAgent: 'a test', environment: {} } as const;

const COMMANDS: readonly Command[] = [
  {
    name: 'push of a VM',
    at: () => target,
    run: pushSomeVm,
    missing: missingAt(() => target),
    steps: [
      // 404 is true. 200 is a lie that comes out when the manifest is refused; 400, 405 and 501 let the blob be read
      // instead.
      ['look for a blob', [200, 400, 404, 405, 501]],
      ['start an upload', [202]],
      ['send the rest', [201]],
    ],
  },
  {
    name: 'push of a VM whose disk is missing',
    at: () => target,
    run: pushSomeVm,
    prepare: haveSmallBlobs,
    missing: missingAt(() => target),
    statuses: SOME,
    steps: [
      ['look for a blob', [200, 400, 404, 405, 501]],
      ['start an upload', [202]],
      ['send the rest', [201]],
      ['store the manifest', [201]],
      ['move the tag', [201]],
    ],
  },
  {
    name: 'push of an image',
    at: () => target,
    run: async (repository) =>
      pushVm(session, nameAt(source, 'cached/image').toString(), [nameAt(target, repository)], { insecure: true }),
    missing: missingAt(() => target),
    statuses: SOME,
    steps: [
      ['look for a blob', [200, 400, 404, 405, 501]],
      ['start an upload', [202]],
      ['send the rest', [201]],
    ],
  },
  {
    name: 'copy',
    at: () => target,
    run: async (repository) => copy(nameAt(source, 'small/image'), nameAt(target, repository)),
    missing: missingAt(() => target),
    // It asks and sends as a push does, which meets them all.
    statuses: SOME,
    steps: [
      ['look for a blob', [200, 400, 404, 405, 501]],
      ['start an upload', [202]],
      ['send the rest', [201]],
    ],
  },
  {
    name: 'copy of what is there',
    at: () => target,
    run: async (repository) => copy(nameAt(source, 'small/image'), nameAt(target, repository)),
    missing: missingAt(() => target),
    prepare: (repository) => haveBlobs(repository, WITHOUT_DISK),
    steps: [
      ['store the manifest', [201]],
      ['move the tag', [201]],
    ],
  },
  {
    name: 'copy within a registry',
    at: () => target,
    prepare: (repository) => {
      target.plant('small/image', '1', WITHOUT_DISK);
      haveBlobs(repository, WITHOUT_DISK);
      target.blobs.delete(`${repository} ${sha256(WITHOUT_DISK.nvram)}`);
    },
    run: async (repository) => copy(nameAt(target, 'small/image'), nameAt(target, repository)),
    missing: missingAt(() => target),
    steps: [['mount a blob', MOUNTS]],
  },
  {
    name: 'copy from a registry',
    at: () => source,
    prepare: (repository) => source.plant(repository, '1', WITHOUT_DISK),
    run: async (repository) => copy(nameAt(source, repository), nameAt(target, repository)),
    missing: missingAt(() => target),
    steps: [
      ['read the manifest', [200]],
      ['read a blob', [200]],
    ],
  },
  {
    name: 'pull of a tag that moved',
    at: () => source,
    prepare: (repository) => {
      source.plant(repository, '1', IMAGE);
      haveOlder(repository);
    },
    run: async (repository) => pull(session, nameAt(source, repository), { insecure: true, concurrency: 1 }),
    missing: (repository) => missingHere(repository, IMAGE),
    steps: [['read the manifest', [200]]],
  },
  {
    name: 'pull',
    at: () => source,
    prepare: (repository) => source.plant(repository, '1', IMAGE),
    run: async (repository) => pull(session, nameAt(source, repository), { insecure: true }),
    missing: (repository) => missingHere(repository, IMAGE),
    statuses: SOME,
    steps: [
      ['read the manifest', [200]],
      ['read a blob', [200]],
    ],
  },
  {
    name: 'inspect',
    at: () => source,
    prepare: (repository) => source.plant(repository, '1', IMAGE),
    run: async (repository) =>
      inspect(session, nameAt(source, repository).toString(), { where: 'remote', insecure: true }),
    missing: () => [],
    steps: [['read the manifest', [200]]],
  },
  {
    name: 'deletion',
    at: () => target,
    prepare: (repository) => target.plant(repository, '1', IMAGE),
    run: deleteManifest,
    missing: (repository) => (target.lacks(repository, IMAGE.digest).length > 0 ? [] : ['its end']),
    steps: [['delete the manifest', [202]]],
  },
  {
    name: 'push with a token',
    at: () => target,
    run: pushSomeVm,
    prepare: (repository) => haveBlobs(repository, IMAGE),
    missing: missingAt(() => target),
    statuses: STATUSES.filter((status) => status !== 200),
    wantsToken: true,
    steps: [['get a token', []]],
  },
  {
    name: 'login',
    at: () => target,
    run: async () => checkLogin({ ...LOGIN, registry: target.server.address, limits: { ...limits, ...QUICK } }),
    missing: () => [],
    wantsToken: true,
    lanes: 1,
    steps: [
      ['ask for the registry', [200]],
      ['get a token', [200]],
    ],
  },
];

/** The repository has the blobs of an image, and no manifest. */
function haveBlobs(repository: string, image: TinyImage): void {
  for (const [digest, bytes] of image.blobs) target.blobs.set(`${repository} ${digest}`, Buffer.from(bytes));
}

/** Another image has the tag in the cache. A pull of a new name starts threads at once, too many for a table. */
function haveOlder(repository: string): void {
  plantImage(session, `${source.server.authority}/${repository}`, fakeDigest('5'), '1');
}

function client(registry: HonestRegistry, repository: string): RegistryClient {
  return RegistryClient.forRepository({
    registry: registry.server.address,
    repository: Repository.parse(repository),
    userAgent: 'a test',
    insecure: true,
    limits: { ...limits, ...QUICK },
  });
}

async function deleteManifest(repository: string): Promise<void> {
  const one = client(target, repository);
  try {
    await one.deleteManifest(Digest.parse(IMAGE.digest));
  } finally {
    await one.close();
  }
}

async function copy(from: RemoteName, to: RemoteName): Promise<unknown> {
  return copyImage(session, from, to, { insecureSource: true, insecureTarget: true, concurrency: 1 });
}

/** What of an image the cache lacks. */
async function missingHere(repository: string, image: TinyImage): Promise<string[]> {
  const cached = await session.images.find(nameAt(source, repository));
  if (cached === undefined) return ['the image'];
  const files = { 'disk.img': image.disk, 'nvram.bin': image.nvram, 'config.json': image.config };
  return Object.entries(files).flatMap(([file, bytes]) =>
    readFileSync(`${cached.directory.path}/${file}`).equals(bytes) ? [] : [file],
  );
}

describe.each(COMMANDS)('$name', (command) => {
  const { name, at, run, missing, prepare, statuses = STATUSES, lanes = LANES } = command;
  it.each(command.steps)(
    'whatever is answered to "%s": it ends, and a success is one (N30, N31)',
    { timeout: TABLE_MS },
    async (step, successes) => {
      const registry = at();
      const succeeded: number[] = [];
      const wrong: string[] = [];
      let current = 0;
      registry.wantsToken = command.wantsToken === true;
      registry.instead = (asked) => {
        if (asked.step !== step) return undefined;
        const status = Number(/\/(\d{3})$/.exec(asked.repository)?.[1] ?? current);
        return status === 0 || status === TRUE_WORD[step] ? undefined : answerOf(status);
      };
      await inLanes(statuses, lanes, session.signal, async (status) => {
        if (lanes === 1) current = status;
        const repository = `${`${name} ${step}`.replaceAll(' ', '-').toLowerCase()}/${status}`;
        prepare?.(repository);
        try {
          if ((await ending(run(repository))) !== 0) return;
          succeeded.push(status);
          const lost = await missing(repository);
          if (lost.length > 0) wrong.push(`${status}: a success without ${lost.join(', ')}`);
        } catch (error) {
          wrong.push(`${status}: ${String(error)}`);
        }
      });
      registry.instead = undefined;
      registry.wantsToken = false;
      expect(wrong).toEqual([]);
      expect(succeeded.toSorted((one, other) => one - other)).toEqual(successes);
    },
  );
});

describe('the command itself', () => {
  it.each([204, 400, 402, 413, 507])(
    'ends with an error where a registry answers %i to the question for a blob, and nothing is stored (N31)',
    async (status) => {
      const place = new Workplace(cleanup);
      plantVm(place.vmDirectory('mine'));
      target.instead = ({ step }) => (step === 'look for a blob' || step === 'read a blob' ? { status } : undefined);
      const from = `${source.server.authority}/small/image:1`;
      for (const [command, what] of [
        ['push', 'mine'],
        ['copy', from],
      ] as const) {
        const repository = `command/${command}/${status}`;
        const ran = await place.run(command, '--insecure', what, `${target.server.authority}/${repository}:1`);
        expect(ran.exitCode, command).not.toBe(0);
        expect(ran.stderr).toContain(`]: cannot look for blob ${target.server.authority}/${repository}@`);
        expect(target.lacks(repository, '1')).toEqual(['1']);
      }
      target.instead = undefined;
    },
  );
});
