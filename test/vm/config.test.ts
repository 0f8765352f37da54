import { describe, expect, it } from 'vitest';
import { newLinuxConfig, withCpu, withDisplay, withDisplayRefit, withMac, withMemory } from '../../src/vm/config.ts';
import { MAX_CONFIG_BYTES, parseVmConfig, serializeVmConfig } from '../../src/vm/config-file.ts';
import { displayText } from '../../src/vm/display.ts';
import { MacAddress } from '../../src/vm/mac-address.ts';

const MAC = MacAddress.parse('7e:12:34:56:78:9a');

const LINUX = {
  version: 1,
  os: 'linux',
  arch: 'arm64',
  cpuCountMin: 4,
  cpuCount: 4,
  memorySizeMin: 4_294_967_296,
  memorySize: 4_294_967_296,
  macAddress: '7e:12:34:56:78:9a',
  display: { width: 1024, height: 768 },
  diskFormat: 'raw',
};

/** From before Tart 0.22, which had no `os`. */
const DARWIN = {
  version: 1,
  ecid: 'YnBsaXN0MDA/x+8=',
  hardwareModel: 'YnBsaXN0MDDT',
  cpuCountMin: 2,
  cpuCount: 8,
  memorySizeMin: 4_294_967_296,
  memorySize: 8_589_934_592,
  macAddress: '7E:12:34:56:78:9A',
};

function parse(value: unknown) {
  return parseVmConfig(new TextEncoder().encode(JSON.stringify(value)), 'vm');
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function without(object: Record<string, unknown>, key: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([each]) => each !== key));
}

/** The example of tart-formats §3, byte for byte. */
const LINUX_FILE = `{
  "version" : 1,
  "os" : "linux",
  "arch" : "arm64",
  "cpuCountMin" : 4,
  "cpuCount" : 4,
  "memorySizeMin" : 4294967296,
  "memorySize" : 4294967296,
  "macAddress" : "7e:12:34:56:78:9a",
  "display" : {
    "width" : 1024,
    "height" : 768
  },
  "diskFormat" : "raw"
}`;

describe('a new Linux VM', () => {
  it('has the values and the text that Tart gives it', () => {
    expect(text(serializeVmConfig(newLinuxConfig({ arch: 'arm64', mac: MAC }), 'file'))).toBe(LINUX_FILE);
  });

  it('can be for the other architecture', () => {
    expect(newLinuxConfig({ arch: 'amd64', mac: MAC })).toMatchObject({ os: 'linux', arch: 'amd64' });
  });
});

describe('reading (tart-formats §3)', () => {
  it('every key of a Linux VM', () => {
    const config = parse({ ...LINUX, arch: 'amd64', displayRefit: true, diskFormat: 'asif' });
    expect(config).toMatchObject({
      version: 1,
      os: 'linux',
      arch: 'amd64',
      cpuCountMin: 4,
      cpuCount: 4,
      memorySizeMin: 4_294_967_296,
      memorySize: 4_294_967_296,
      display: { width: 1024, height: 768 },
      displayRefit: true,
      diskFormat: 'asif',
    });
    expect(config.mac.toString()).toBe('7e:12:34:56:78:9a');
  });

  it('what an old macOS VM leaves out has its default', () => {
    const config = parse(DARWIN);
    expect(config).toMatchObject({
      os: 'darwin',
      arch: 'arm64',
      ecid: 'YnBsaXN0MDA/x+8=',
      hardwareModel: 'YnBsaXN0MDDT',
      display: { width: 1024, height: 768 },
      diskFormat: 'raw',
    });
    expect(config.displayRefit).toBeUndefined();
    expect(config.mac.toString()).toBe('7e:12:34:56:78:9a');
  });

  it('null is the same as absent where a key is optional', () => {
    const nothing = { os: null, arch: null, display: null, displayRefit: null, diskFormat: null };
    expect(parse({ ...DARWIN, ...nothing })).toMatchObject({ os: 'darwin', arch: 'arm64', diskFormat: 'raw' });
    expect(parse({ ...LINUX, display: { width: 1, height: 2, unit: null } }).display).toEqual({ width: 1, height: 2 });
  });

  it('the version is not checked, nor is a macOS key of a Linux VM', () => {
    expect(parse({ ...LINUX, version: 7, ecid: 5 })).toMatchObject({ version: 7, os: 'linux' });
  });

  it('an unknown disk format is raw', () => {
    expect(parse({ ...LINUX, diskFormat: 'qcow2' }).diskFormat).toBe('raw');
  });

  it('a screen may have a unit', () => {
    expect(displayText(parse({ ...LINUX, display: { width: 1920, height: 1200, unit: 'pt' } }).display)).toBe(
      '1920x1200pt',
    );
    expect(displayText(parse(LINUX).display)).toBe('1024x768');
  });

  it('escaped slashes and any order of keys read the same', () => {
    const bytes = new TextEncoder().encode(
      JSON.stringify(Object.fromEntries(Object.entries(DARWIN).reverse())).replaceAll('/', '\\/'),
    );
    expect(parseVmConfig(bytes, 'vm')).toMatchObject({ ecid: 'YnBsaXN0MDA/x+8=' });
  });
});

describe('refusing', () => {
  it.each(['version', 'cpuCountMin', 'cpuCount', 'memorySizeMin', 'memorySize', 'macAddress'])(
    '"%s" must be there',
    (key) => {
      const refusal = expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: `config.json of vm: "${key}" is missing`,
      });
      expect(() => parse(without(LINUX, key))).toThrow(refusal);
      expect(() => parse({ ...LINUX, [key]: null })).toThrow(refusal);
    },
  );

  it.each(['ecid', 'hardwareModel'])('"%s" must be there in a macOS VM', (key) => {
    expect(() => parse(without(DARWIN, key))).toThrow(`"${key}" is missing`);
  });

  it.each([
    [{ os: 'windows' }, '"os" is neither "darwin" nor "linux"'],
    [{ os: 'Linux' }, '"os" is neither'],
    [{ arch: 'x86_64' }, '"arch" is neither "arm64" nor "amd64"'],
    [{ version: '1' }, '"version" is not a whole number'],
    [{ cpuCount: 2.5 }, '"cpuCount" is not a whole number'],
    [{ cpuCount: 0 }, '"cpuCount" is 0, less than 1'],
    [{ cpuCountMin: -1 }, '"cpuCountMin" is -1, less than 0'],
    [{ memorySize: '4096' }, '"memorySize" is not a whole number'],
    [{ memorySize: 2 ** 60 }, '"memorySize" is not a whole number'],
    [{ macAddress: 'no' }, '"macAddress" is not a MAC address'],
    [{ macAddress: 5 }, '"macAddress" is not a string'],
    [{ display: [] }, '"display" is not an object'],
    [{ display: { width: 1024 } }, '"display.height" is missing'],
    [{ display: { width: '1024', height: 768 } }, '"display.width" is not a whole number'],
    [{ display: { width: 1, height: 1, unit: 'cm' } }, '"display.unit" is neither "pt" nor "px"'],
    [{ displayRefit: 1 }, '"displayRefit" is neither true nor false'],
    [{ diskFormat: 1 }, '"diskFormat" is not a string'],
  ])('%j', (change, message) => {
    expect(() => parse({ ...LINUX, ...change })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => parse({ ...LINUX, ...change })).toThrow(message);
  });

  it.each(['', 'abc', 'ab=c', 'YnBs aXN0', 'YnBsaXN0MDA_', '===='])('%j is not base64', (ecid) => {
    expect(() => parse({ ...DARWIN, ecid })).toThrow('"ecid" is not base64');
  });

  it.each([
    ['', 'it is empty'],
    ['{', 'it is not JSON'],
    ['[]', 'is not a JSON object'],
    ['{"cpuCount":1,"cpuCount":2}', 'the key "cpuCount" appears twice'],
  ])('the text %j', (json, message) => {
    const parsing = () => parseVmConfig(new TextEncoder().encode(json), 'ghcr.io/acme/base:1');
    expect(parsing).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(parsing).toThrow(message);
    expect(parsing).toThrow('config.json of ghcr.io/acme/base:1');
  });

  it('a file larger than any configuration, unread', () => {
    expect(() => parseVmConfig(new Uint8Array(MAX_CONFIG_BYTES + 1), 'vm')).toThrow(
      'config.json of vm has 16777217 bytes, the limit is 16777216',
    );
  });
});

describe('writing', () => {
  it('keys that we do not know stay, behind those we know, at every level', () => {
    const config = parse({
      future: { '10': [], '9': [1, { a: 'x/y' }], empty: {} },
      ...LINUX,
      display: { refresh: 60, width: 1024, height: 768 },
    });
    expect(text(serializeVmConfig(withCpu(config, 2), 'file'))).toBe(`{
  "version" : 1,
  "os" : "linux",
  "arch" : "arm64",
  "cpuCountMin" : 4,
  "cpuCount" : 2,
  "memorySizeMin" : 4294967296,
  "memorySize" : 4294967296,
  "macAddress" : "7e:12:34:56:78:9a",
  "display" : {
    "width" : 1024,
    "height" : 768,
    "refresh" : 60
  },
  "diskFormat" : "raw",
  "future" : {
    "9" : [
      1,
      {
        "a" : "x\\/y"
      }
    ],
    "10" : [

    ],
    "empty" : {

    }
  }
}`);
  });

  it('a pushed blob has no white space, escapes slashes and is the same every time', () => {
    const expected =
      '{"version":1,"os":"darwin","arch":"arm64","ecid":"YnBsaXN0MDA\\/x+8=","hardwareModel":"YnBsaXN0MDDT",' +
      '"cpuCountMin":2,"cpuCount":8,"memorySizeMin":4294967296,"memorySize":8589934592,"macAddress":"7e:12:34:56:78:9a",' +
      '"display":{"width":1024,"height":768},"diskFormat":"raw"}';
    expect(text(serializeVmConfig(parse(DARWIN), 'blob'))).toBe(expected);
    const shuffled = Object.fromEntries(Object.entries(DARWIN).reverse());
    expect(text(serializeVmConfig(parse(shuffled), 'blob'))).toBe(expected);
  });

  it.each(['file', 'blob'] as const)('a %s reads back as it was', (form) => {
    const config = parse({ ...LINUX, displayRefit: false, display: { width: 5, height: 6, unit: 'px' } });
    const again = parseVmConfig(serializeVmConfig(config, form), 'vm');
    expect(serializeVmConfig(again, 'blob')).toEqual(serializeVmConfig(config, 'blob'));
    expect(again).toMatchObject({ displayRefit: false, display: { width: 5, height: 6, unit: 'px' } });
  });

  it('a key named __proto__ is a key like any other', () => {
    const json = JSON.stringify(LINUX).replace('{', '{"__proto__":{"kept":1},');
    const config = parseVmConfig(new TextEncoder().encode(json), 'vm');
    expect(text(serializeVmConfig(config, 'blob'))).toMatch(/"diskFormat":"raw","__proto__":\{"kept":1\}\}$/);
  });
});

describe('changing', () => {
  const linux = parse({ ...LINUX, future: 1 });
  const darwin = parse(DARWIN);

  it('gives a copy, and the unknown keys with it', () => {
    const changed = withMac(linux, MacAddress.parse('02:00:00:00:00:01'));
    expect(text(serializeVmConfig(changed, 'blob'))).toContain('"macAddress":"02:00:00:00:00:01"');
    expect(text(serializeVmConfig(changed, 'blob'))).toContain('"future":1');
    expect(linux.mac.toString()).toBe('7e:12:34:56:78:9a');
  });

  it('a macOS guest keeps its minimum of processors and memory, a Linux guest has none', () => {
    expect(() => withCpu(darwin, 1)).toThrow('this VM cannot have 1 CPU: it needs at least 2 CPUs');
    expect(() => withMemory(darwin, 1024 ** 3)).toThrow(
      'this VM cannot have 1024 MiB of memory: it needs at least 4096 MiB of memory',
    );
    expect(withCpu(darwin, 2).cpuCount).toBe(2);
    expect(withCpu(linux, 1).cpuCount).toBe(1);
    expect(withMemory(linux, 512 * 1024 ** 2).memorySize).toBe(536_870_912);
    expect(() => withCpu(linux, 0)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => withCpu(linux, Number.NaN)).toThrow('NaN is not a whole number');
  });

  it('a screen without a unit forgets the old unit', () => {
    const pixels = withDisplay(linux, { width: 800, height: 600, unit: 'px' });
    expect(text(serializeVmConfig(pixels, 'blob'))).toContain('"display":{"width":800,"height":600,"unit":"px"}');
    const again = parseVmConfig(serializeVmConfig(pixels, 'blob'), 'vm');
    expect(text(serializeVmConfig(withDisplay(again, { width: 640, height: 480 }), 'blob'))).toContain(
      '"display":{"width":640,"height":480},',
    );
  });

  it('whether the screen follows the window can be said and unsaid', () => {
    const said = parseVmConfig(serializeVmConfig(withDisplayRefit(linux, true), 'blob'), 'vm');
    expect(said.displayRefit).toBe(true);
    expect(text(serializeVmConfig(withDisplayRefit(said, undefined), 'blob'))).not.toContain('displayRefit');
  });
});
