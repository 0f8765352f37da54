import { isTartletError, TartletError } from '../errors.ts';
import { isJsonObject, type JsonObject } from '../json/foreign.ts';
import { parseJsonDocument } from '../oci/json-document.ts';
import type { DiskFormat, VmConfig } from './config.ts';
import { DEFAULT_DISPLAY, type Display } from './display.ts';
import { MacAddress } from './mac-address.ts';

/** More is refused before it is read; real ones have less than 2 KB (reliability §0.2). @internal */
export const MAX_CONFIG_BYTES = 16 * 1024 * 1024;

/**
 * Reads a `config.json` by Tart's rules of what must be there and what may be left out (tart-formats §3): `null` counts
 * as absent, and an unknown disk format is `raw`.
 *
 * @param whose the VM or image, for the message.
 * @throws TartletError `CONFIG_INVALID`, which names the key and what is wrong with it.
 */
export function parseVmConfig(bytes: Uint8Array, whose: string): VmConfig {
  const document = parseDocument(bytes, whose);
  const keys = new Keys(document, `config.json of ${whose}`);
  const common = {
    version: keys.requiredNumber('version', Number.MIN_SAFE_INTEGER),
    arch: keys.oneOf('arch', ['arm64', 'amd64']) ?? 'arm64',
    cpuCountMin: keys.requiredNumber('cpuCountMin', 0),
    cpuCount: keys.requiredNumber('cpuCount', 1),
    memorySizeMin: keys.requiredNumber('memorySizeMin', 0),
    memorySize: keys.requiredNumber('memorySize', 1),
    mac: parseMac(keys),
    display: parseDisplay(keys),
    displayRefit: keys.flag('displayRefit'),
    diskFormat: parseDiskFormat(keys),
    document,
  };
  // Configurations from before Tart 0.22 have no `os`: there was only one.
  const os = keys.oneOf('os', ['darwin', 'linux']) ?? 'darwin';
  if (os === 'linux') return { ...common, os };
  return { ...common, os, ecid: keys.base64('ecid'), hardwareModel: keys.base64('hardwareModel') };
}

function parseDocument(bytes: Uint8Array, whose: string): JsonObject {
  if (bytes.length > MAX_CONFIG_BYTES) {
    throw new TartletError(
      'CONFIG_INVALID',
      `config.json of ${whose} has ${bytes.length} bytes, the limit is ${MAX_CONFIG_BYTES}`,
      { subject: whose },
    );
  }
  let document: unknown;
  try {
    document = parseJsonDocument(bytes, `config.json of ${whose}`);
  } catch (cause) {
    if (!isTartletError(cause)) throw cause;
    throw new TartletError('CONFIG_INVALID', cause.message, { subject: whose, cause });
  }
  if (isJsonObject(document)) return document;
  throw new TartletError('CONFIG_INVALID', `config.json of ${whose} is not a JSON object`, { subject: whose });
}

/** The keys of one object, each read in one way or refused. */
class Keys {
  readonly #object: JsonObject;
  readonly #what: string;
  readonly #prefix: string;

  constructor(object: JsonObject, what: string, prefix = '') {
    this.#object = object;
    this.#what = what;
    this.#prefix = prefix;
  }

  #optional(key: string): unknown {
    const value = Object.hasOwn(this.#object, key) ? this.#object[key] : undefined;
    return value === null ? undefined : value;
  }

  #required(key: string): unknown {
    const value = this.#optional(key);
    if (value === undefined) throw this.invalid(key, 'is missing');
    return value;
  }

  requiredNumber(key: string, least: number): number {
    const value = this.#required(key);
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw this.invalid(key, 'is not a whole number');
    if (value < least) throw this.invalid(key, `is ${value}, less than ${least}`);
    return value;
  }

  requiredString(key: string): string {
    const value = this.#required(key);
    if (typeof value !== 'string') throw this.invalid(key, 'is not a string');
    return value;
  }

  /** Checked without decoding: what it holds is Apple's business. */
  base64(key: string): string {
    const value = this.requiredString(key);
    const isBase64 = value !== '' && value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value);
    if (!isBase64) throw this.invalid(key, 'is not base64');
    return value;
  }

  oneOf<T extends string>(key: string, words: readonly T[]): T | undefined {
    const value = this.#optional(key);
    if (value === undefined) return undefined;
    const found = words.find((word) => word === value);
    if (found === undefined) throw this.invalid(key, `is neither "${words.join('" nor "')}"`);
    return found;
  }

  flag(key: string): boolean | undefined {
    const value = this.#optional(key);
    if (value !== undefined && typeof value !== 'boolean') throw this.invalid(key, 'is neither true nor false');
    return value;
  }

  text(key: string): string | undefined {
    return this.#optional(key) === undefined ? undefined : this.requiredString(key);
  }

  object(key: string): Keys | undefined {
    const value = this.#optional(key);
    if (value === undefined) return undefined;
    if (!isJsonObject(value)) throw this.invalid(key, 'is not an object');
    return new Keys(value, this.#what, `${this.#prefix}${key}.`);
  }

  invalid(key: string, why: string): TartletError {
    return new TartletError('CONFIG_INVALID', `${this.#what}: "${this.#prefix}${key}" ${why}`, {
      subject: `${this.#prefix}${key}`,
    });
  }
}

function parseMac(keys: Keys): MacAddress {
  const mac = MacAddress.tryParse(keys.requiredString('macAddress'));
  if (mac === undefined) throw keys.invalid('macAddress', 'is not a MAC address like 7e:12:34:56:78:9a');
  return mac;
}

function parseDisplay(keys: Keys): Display {
  const display = keys.object('display');
  if (display === undefined) return DEFAULT_DISPLAY;
  const size = { width: display.requiredNumber('width', 0), height: display.requiredNumber('height', 0) };
  const unit = display.oneOf('unit', ['pt', 'px']);
  return unit === undefined ? size : { ...size, unit };
}

/** An unknown word silently reads as `raw`, and is written back so, exactly as in Tart. */
function parseDiskFormat(keys: Keys): DiskFormat {
  return keys.text('diskFormat') === 'asif' ? 'asif' : 'raw';
}

/**
 * The bytes of a `config.json`. `file`: as Tart writes it on disk, with white space and without a newline at the end.
 * `blob`: compact, as it is pushed. Tart's order of keys differs from run to run; ours never does, so that the same VM
 * gives the same digest: the keys of the format first, in a fixed order, then unknown ones in the order they were read.
 */
export function serializeVmConfig(config: VmConfig, form: 'file' | 'blob'): Uint8Array {
  const { document, display } = config;
  const known = {
    version: config.version,
    os: config.os,
    arch: config.arch,
    ...(config.os === 'darwin' ? { ecid: config.ecid, hardwareModel: config.hardwareModel } : {}),
    cpuCountMin: config.cpuCountMin,
    cpuCount: config.cpuCount,
    memorySizeMin: config.memorySizeMin,
    memorySize: config.memorySize,
    macAddress: config.mac.toString(),
    display: over(document['display'], { width: display.width, height: display.height, unit: display.unit }),
    displayRefit: config.displayRefit,
    diskFormat: config.diskFormat,
  };
  const text = form === 'file' ? pretty(over(document, known), '') : compact(over(document, known));
  return new TextEncoder().encode(text.replaceAll('/', '\\/'));
}

/**
 * `known` first; of `document` what `known` does not mention. Entries, because an object would move keys like `10` to
 * its front.
 */
function over(document: unknown, known: JsonObject): Members {
  const others = isJsonObject(document) ? Object.entries(document) : [];
  return new Members([
    ...Object.entries(known).filter(([, value]) => value !== undefined),
    ...others.filter(([key]) => !Object.hasOwn(known, key)),
  ]);
}

/** The members of a JSON object, in the order of writing. */
class Members {
  readonly list: readonly (readonly [string, unknown])[];

  constructor(list: readonly (readonly [string, unknown])[]) {
    this.list = list;
  }

  static of(value: unknown): Members | undefined {
    if (value instanceof Members) return value;
    return isJsonObject(value) ? new Members(Object.entries(value)) : undefined;
  }
}

function compact(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(compact).join(',')}]`;
  const members = Members.of(value);
  if (members === undefined) return JSON.stringify(value);
  return `{${members.list.map(([key, item]) => `${JSON.stringify(key)}:${compact(item)}`).join(',')}}`;
}

/** Apple's pretty form: a space on both sides of the colon, and an empty line in what is empty (tart-formats §3). */
function pretty(value: unknown, indent: string): string {
  const deeper = `${indent}  `;
  if (Array.isArray(value))
    return block(
      '[',
      ']',
      value.map((item) => deeper + pretty(item, deeper)),
      indent,
    );
  const members = Members.of(value);
  if (members === undefined) return JSON.stringify(value);
  const lines = members.list.map(([key, item]) => `${deeper}${JSON.stringify(key)} : ${pretty(item, deeper)}`);
  return block('{', '}', lines, indent);
}

function block(open: string, close: string, lines: readonly string[], indent: string): string {
  return `${open}\n${lines.join(',\n')}\n${indent}${close}`;
}
