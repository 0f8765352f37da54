import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Home } from '../../src/home/home.ts';
import { referencePath } from '../../src/home/layout.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { Limits } from '../../src/registry/request/limits.ts';
import { pull, type PullOptions, type PullOutcome } from '../../src/transfer/pull/pull.ts';
import { Session, type SessionOptions } from '../../src/session/session.ts';
import { TartletError } from '../../src/errors.ts';
import { plantVm } from '../support/home.ts';
import type { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, Workplace } from '../support/real-command.ts';
import { Relay } from '../support/relay.ts';
import { serveImage } from '../support/scripted-image.ts';
import { ScriptedRegistry } from '../support/scripted-registry.ts';
import { type TinyImage, tinyImage } from '../support/tart-image.ts';

/** Where {@link World.serve} puts an image. */
export const REPOSITORY = 'org/vm';

/** No test waits for seconds: pauses in milliseconds, timeouts in tenths of a second. */
const QUICK: Partial<Limits> = { headersMs: 500, bodyIdleMs: 500, backoffMs: 2, backoffCapMs: 20 };

/** A pull that a row tried; once its fault is gone, it must succeed. */
export interface Attempt {
  readonly name: RemoteName;
  readonly options: PullOptions;
  readonly image: TinyImage;
}

/**
 * What a row happens in: a user with a home that holds an image, a VM and a file of their own, and secrets. The row
 * spoils something, and {@link expectInvariants} looks at the rest.
 */
export class World {
  readonly workplace: Workplace;
  readonly home: Home;
  /** Everything that was said to anybody: events, errors, both streams of commands. */
  readonly said: string[] = [];
  /** How commands ended. */
  readonly ran: Ran[] = [];
  readonly attempts: Attempt[] = [];
  /** What must be in nothing that was said or written. */
  readonly secrets = new Set<string>();
  /** Is in the cache before the row begins, and must be there afterwards. */
  readonly kept: { readonly image: TinyImage; readonly directory: string; readonly tag: string };
  readonly #cleanup: Cleanup;
  readonly #served: { registry: ScriptedRegistry; tag: string; image: TinyImage }[] = [];

  constructor(cleanup: Cleanup) {
    this.#cleanup = cleanup;
    this.workplace = new Workplace(cleanup);
    this.home = new Home(this.workplace.home);
    this.kept = plantCachedImage(this.home, 'kept.example:5000/org/kept:1', KEPT);
    plantVm(`${this.home.vmsDirectory}/mine`, 'my disk');
    writeFileSync(`${this.home.root}/notes.txt`, 'a file of the user');
    writeFileSync(`${this.directory}/user/outside.txt`, 'a file that is nobody’s business');
  }

  /** The user's directory, with the home in it. */
  get directory(): string {
    return path.dirname(this.workplace.home);
  }

  /** Something that may be sent where it belongs, and told to no other server. */
  secret(text: string): string {
    this.secrets.add(text);
    this.secrets.add(Buffer.from(text).toString('base64'));
    return text;
  }

  /** Runs after the row, before the directory goes. */
  after(work: () => Promise<void> | void): void {
    this.#cleanup.add(work);
  }

  /** A registry with routes of its own; what it does not expect fails the row. */
  async registry(...parameters: Parameters<typeof ScriptedRegistry.start>): Promise<ScriptedRegistry> {
    const registry = await ScriptedRegistry.start(...parameters);
    this.after(() => registry.close());
    return registry;
  }

  /** A registry that serves an image honestly, as `org/vm:<tag>`, until a row spoils a route. */
  async serve(image: TinyImage = tinyImage(), tag = 'latest'): Promise<ScriptedRegistry> {
    const registry = await this.registry();
    serveImage(registry, REPOSITORY, tag, image);
    this.#served.push({ registry, tag, image });
    return registry;
  }

  async relay(target: ScriptedRegistry): Promise<Relay> {
    const relay = await Relay.start(target.port);
    this.after(() => relay.close());
    return relay;
  }

  /** The end of all faults: registries are honest again. */
  lift(): void {
    for (const { registry, tag, image } of this.#served) serveImage(registry, REPOSITORY, tag, image);
  }

  /** A session in the home of the user, with short times; what it says is heard. */
  session(options: Partial<SessionOptions> = {}): Session {
    return new Session({
      home: this.home,
      platform: process.platform,
      limits: QUICK,
      onEvent: (event) => this.said.push(JSON.stringify(event)),
      ...options,
    });
  }

  /**
   * Pulls an image that {@link serve} serves. However it ends, the same pull must succeed once the faults are gone.
   * @param at what is asked: the registry itself, or a relay in front of it.
   */
  async pull(
    at: { readonly port: number },
    options: PullOptions & {
      readonly image?: TinyImage;
      readonly reference?: string;
      readonly session?: Partial<SessionOptions>;
    } = {},
  ): Promise<PullOutcome> {
    const { image = tinyImage(), reference = ':latest', session, ...others } = options;
    const name = RemoteName.parse(`127.0.0.1:${at.port}/${REPOSITORY}${reference}`);
    this.attempts.push({ name, options: others, image });
    return this.hear(pull(this.session(session), name, others));
  }

  /** Runs the command in the home of the user. */
  async run(...args: readonly string[]): Promise<Ran> {
    return this.heard(await this.workplace.run(...args));
  }

  /** Notes how a command ended that was started otherwise. */
  heard(ran: Ran): Ran {
    this.ran.push(ran);
    this.said.push(ran.stdout, ran.stderr);
    return ran;
  }

  /** Notes what a failure says. */
  async hear<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      this.said.push(textOf(error));
      throw error;
    }
  }
}

/** All that a user or a log could see of an error. */
function textOf(error: unknown): string {
  if (!(error instanceof TartletError)) return String(error);
  const { cause, ...facts } = error.facts;
  return `${error.code} ${error.message} ${JSON.stringify(facts)}${cause === undefined ? '' : ` ${textOf(cause)}`}`;
}

const KEPT = tinyImage({ nvram: Buffer.alloc(4096, 'kept') });

/** Puts a complete image into the cache, as a pull would leave it. */
export function plantCachedImage(home: Home, text: string, image: TinyImage) {
  const name = RemoteName.parse(text);
  const tag = `${home.imagesDirectory}/${referencePath(name)}`;
  const directory = `${path.dirname(tag)}/${image.digest}`;
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/manifest.json`, image.manifest);
  writeFileSync(`${directory}/config.json`, image.config);
  writeFileSync(`${directory}/nvram.bin`, image.nvram);
  writeFileSync(`${directory}/disk.img`, image.disk);
  symlinkSync(directory, tag);
  return { image, directory, tag };
}
