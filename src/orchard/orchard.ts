import { TartletError } from '../errors.ts';
import { fieldOf, isJsonObject, type JsonObject, parseJson, textOf } from '../json/foreign.ts';
import { isLoopbackHost } from '../names/ip-address.ts';
import type { Session } from '../session/session.ts';
import { webDocument } from '../session/web-document.ts';

/*
 * What is asked of an Orchard controller, and told to it (run-fleet-demand §4.2): which images its VMs are made from,
 * and which of them a worker has ready. It is a scheduler that knows nothing of images; both work with one that knows
 * nothing of us.
 */

/** A controller, and who we are to it. */
export interface Orchard {
  /** Its base, e.g. `https://orchard.example:6120`; a prefix of its API may stand behind. */
  readonly url: URL;
  /** A service account; undefined for a controller that asks for none. */
  readonly account: { readonly name: string; readonly token: string } | undefined;
  /** Tell the token also where others can read it: by plain HTTP to another machine. */
  readonly insecure: boolean;
}

/** What a worker of a kind runs. */
export interface WorkerKind {
  readonly runtime: 'tart' | 'vetu';
  readonly arch: 'arm64' | 'amd64';
}

const MAX_BYTES = 16 * 1024 * 1024;
/** Of all labels that say which images are ready. */
const LABEL_PREFIX = 'tartlet.image.';

/**
 * The images of all VMs that workers of a kind can be given, as they were named there; those of local VMs are among
 * them. A VM without a runtime is one of Tart, and one without an architecture of arm64.
 *
 * @throws TartletError as `webDocument`, `NET_PROTOCOL` for an answer that is no list, `USAGE` where the token would be
 * told to others.
 */
export async function orchardImages(session: Session, orchard: Orchard, kind: WorkerKind): Promise<string[]> {
  const images = (await list(session, orchard, 'vms'))
    .filter((vm) => nonEmpty(textOf(vm, 'runtime'), 'tart') === kind.runtime)
    .filter((vm) => nonEmpty(textOf(vm, 'arch'), 'arm64') === kind.arch)
    .flatMap((vm) => textOf(vm, 'image') ?? []);
  return [...new Set(images)];
}

/**
 * Makes a worker say which images it has ready: a label `tartlet.image.<first 12 digits of the digest>=ready` for each,
 * by which VMs can ask for it. A worker that registers anew loses them, so that this is said again and again. The
 * worker is sent back as it was read, its last sign of life included, or one that is gone would seem alive.
 *
 * @param digests in hexadecimal digits.
 * @returns whether the labels were others before.
 * @throws TartletError as {@link orchardImages}, `NOT_FOUND` for a worker that the controller does not know.
 */
export async function assertImageLabels(
  session: Session,
  orchard: Orchard,
  worker: string,
  digests: readonly string[],
): Promise<boolean> {
  const known = (await list(session, orchard, 'workers')).find((each) => textOf(each, 'name') === worker);
  if (known === undefined) {
    throw new TartletError('NOT_FOUND', `the Orchard controller knows no worker "${worker}"`, { subject: worker });
  }
  const before = fieldOf(known, 'labels');
  const others = Object.entries(isJsonObject(before) ? before : {}).filter(([name]) => !name.startsWith(LABEL_PREFIX));
  const ours = digests.map((hex): [string, string] => [`${LABEL_PREFIX}${hex.slice(0, 12)}`, 'ready']);
  const labels = Object.fromEntries([...others, ...ours]);
  if (isSame(before, labels)) return false;
  const body = Buffer.from(JSON.stringify({ ...known, labels }));
  await webDocument(session, { ...questionFor(orchard, 'workers'), body });
  return true;
}

function isSame(before: unknown, labels: JsonObject): boolean {
  const names = isJsonObject(before) ? Object.keys(before) : [];
  return (
    names.length === Object.keys(labels).length &&
    names.every((name) => fieldOf(before, name) === fieldOf(labels, name))
  );
}

async function list(session: Session, orchard: Orchard, what: 'vms' | 'workers'): Promise<JsonObject[]> {
  const bytes = await webDocument(session, questionFor(orchard, what));
  const value = parseJson(bytes);
  if (Array.isArray(value)) return value.filter(isJsonObject);
  throw new TartletError('NET_PROTOCOL', `${orchard.url.host} answered with something that is no list of ${what}`, {
    subject: orchard.url.host,
  });
}

function questionFor({ url, account, insecure }: Orchard, what: 'vms' | 'workers') {
  if (account !== undefined && url.protocol !== 'https:' && !insecure && !isLoopbackHost(url.hostname)) {
    throw new TartletError('USAGE', `the token of the service account would be readable on the way to ${url.host}`, {
      subject: url.host,
      next: { kind: 'use-tls' },
    });
  }
  const at = new URL(url);
  at.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/${what}`;
  const headers = {
    accept: 'application/json',
    ...(account === undefined
      ? {}
      : { authorization: `Basic ${Buffer.from(`${account.name}:${account.token}`).toString('base64')}` }),
  };
  return { url: at, what: `the ${what} of Orchard`, headers, maxBytes: MAX_BYTES };
}

function nonEmpty(text: string | undefined, fallback: string): string {
  return text === undefined || text === '' ? fallback : text;
}
