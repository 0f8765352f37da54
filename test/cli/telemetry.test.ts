import { readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readPairs, readTraceContext } from '../../src/cli/telemetry/trace-context.ts';
import { runWithInput } from '../support/command-input.ts';
import { type Collector, readExport, startCollector } from '../support/otlp-collector.ts';
import { ScriptedRegistry } from '../support/scripted-registry.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { COMMAND, type Ran, Running, Workplace } from '../support/real-command.ts';

const TRACE_ID = '00000000000000000000000000000001';
const PARENT_ID = '0000000000000001';
const TRACEPARENT = `00-${TRACE_ID}-${PARENT_ID}-01`;
const { version: VERSION } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

async function collector(status?: number | 'silent'): Promise<Collector> {
  const started = await startCollector(status);
  cleanup.add(async () => started.close());
  return started;
}

/** Runs a command that is traced into a collector. */
async function traced(
  { endpoint }: Pick<Collector, 'endpoint'>,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  return runWithInput(new Workplace(cleanup), '', args, {
    environment: { TRACEPARENT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint, ...environment },
  });
}

/** The only span of the only export. */
function spanIn({ exports }: Collector) {
  expect(exports).toHaveLength(1);
  const resources = readExport(exports[0]!.body);
  expect(resources.map(({ resource, scopes }) => [resource.length, scopes.map(({ spans }) => spans.length)])).toEqual([
    [1, [1]],
  ]);
  return { resource: resources[0]!.resource[0]!, span: resources[0]!.scopes[0]!.spans[0]! };
}

describe("Tart's own test of its tracing (tart-cli §6.2), under the name tart", () => {
  it('sees one export of one span, that belongs to the given trace', async () => {
    const mock = await collector();
    const directory = cleanup.directory();
    symlinkSync(COMMAND, path.join(directory, 'tart'));
    const { environment } = new Workplace(cleanup);
    const before = BigInt(Date.now()) * 1_000_000n;
    const { exitCode, stderr } = await new Running('tart', ['list'], {
      ...environment,
      PATH: `${directory}:${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      TRACEPARENT,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: mock.endpoint,
      // What Tart says of an unstamped build; ours tells its release (docs/guide/telemetry.md).
      OTEL_RESOURCE_ATTRIBUTES: 'service.version=SNAPSHOT',
      CIRRUS_SENTRY_TAGS: 'A=B,C=D',
    }).ended;
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });

    const { resource, span } = spanIn(mock);
    expect(mock.exports[0]).toMatchObject({
      method: 'POST',
      path: '/custom/traces',
      headers: { 'content-type': 'application/x-protobuf' },
    });
    expect(resource).toEqual({ 'service.name': 'tart', 'service.version': 'SNAPSHOT' });
    expect(span).toMatchObject({
      traceId: TRACE_ID,
      parentSpanId: PARENT_ID,
      traceState: undefined,
      name: 'list',
      kind: 1n,
      attributes: { A: 'B', C: 'D', 'Command-line arguments': ['tart', 'list'] },
      events: [],
      status: undefined,
      flags: 0x301n,
    });
    expect(span.spanId).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
    expect(span.startNanoseconds).toBeGreaterThanOrEqual(before);
    expect(span.endNanoseconds).toBeGreaterThanOrEqual(span.startNanoseconds!);
    expect(span.endNanoseconds).toBeLessThan(before + 60_000_000_000n);
  });
});

describe('a command that is traced', () => {
  it('says which program and release it is', async () => {
    const mock = await collector();
    await traced(mock, ['list', '--format=json', '-q'], {
      TRACESTATE: 'vendor=1',
      CIRRUS_SENTRY_TAGS: 'ä=ß=ö,,nothing',
    });
    const { resource, span } = spanIn(mock);
    expect(resource).toEqual({ 'service.name': 'tartlet', 'service.version': VERSION });
    expect(span.attributes).toEqual({
      ä: 'ß=ö',
      'Command-line arguments': ['tartlet', 'list', '--format=json', '-q'],
    });
    expect(span.traceState).toBe('vendor=1');
  });

  it.each([
    ['OTEL_EXPORTER_OTLP_PROTOCOL', {}],
    ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }],
  ])('is exported as JSON where %s says so', async (variable, others) => {
    const mock = await collector();
    await traced(mock, ['fqn', 'h:1/a:b'], {
      ...others,
      [variable]: 'http/json',
      TRACESTATE: 'vendor=1',
      CIRRUS_SENTRY_TAGS: 'A=ß',
    });
    expect(mock.exports).toHaveLength(1);
    expect(mock.exports[0]?.headers['content-type']).toBe('application/json');
    const text = (pair: string): { key: string; value: unknown } => {
      const [key = '', stringValue] = pair.split('=');
      return { key, value: { stringValue } };
    };
    const message = 'the image h:1/a:b is not in the cache';
    expect(JSON.parse(String(mock.exports[0]?.body))).toEqual({
      resourceSpans: [
        {
          resource: { attributes: [text('service.name=tartlet'), text(`service.version=${VERSION}`)] },
          scopeSpans: [
            {
              scope: { name: 'tartlet', version: VERSION },
              spans: [
                {
                  traceId: TRACE_ID,
                  spanId: expect.stringMatching(/^[0-9a-f]{16}$/) as unknown,
                  parentSpanId: PARENT_ID,
                  traceState: 'vendor=1',
                  flags: 0x301,
                  name: 'fqn',
                  kind: 1,
                  startTimeUnixNano: expect.stringMatching(/^\d{13}000000$/) as unknown,
                  endTimeUnixNano: expect.stringMatching(/^\d{13}000000$/) as unknown,
                  attributes: [
                    text('A=ß'),
                    {
                      key: 'Command-line arguments',
                      value: {
                        arrayValue: {
                          values: [{ stringValue: 'tartlet' }, { stringValue: 'fqn' }, { stringValue: 'h:1/a:b' }],
                        },
                      },
                    },
                  ],
                  events: [
                    {
                      timeUnixNano: expect.stringMatching(/^\d{13}000000$/) as unknown,
                      name: 'exception',
                      attributes: [text('exception.type=NOT_FOUND'), text(`exception.message=${message}`)],
                    },
                  ],
                  status: { code: 2, message },
                },
              ],
            },
          ],
        },
      ],
    });
  });

  it.each(['http/protobuf', 'grpc', ''])('is exported as protobuf for the protocol "%s"', async (protocol) => {
    const mock = await collector();
    await traced(mock, ['list'], { OTEL_EXPORTER_OTLP_PROTOCOL: protocol });
    expect(mock.exports[0]?.headers['content-type']).toBe('application/x-protobuf');
    expect(spanIn(mock).span.name).toBe('list');
  });

  it('tells its failure as an exception, and ends as it would have', async () => {
    const mock = await collector();
    const { exitCode, stderr } = await traced(mock, ['fqn', 'h:1/a:b']);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: 'error[NOT_FOUND]: the image h:1/a:b is not in the cache.\nnext: pull it first (tartlet pull h:1/a:b)\n',
    });
    const { span } = spanIn(mock);
    expect(span.name).toBe('fqn');
    expect(span.status).toEqual({ code: 2n, message: 'the image h:1/a:b is not in the cache' });
    expect(span.events).toEqual([
      {
        name: 'exception',
        attributes: { 'exception.type': 'NOT_FOUND', 'exception.message': 'the image h:1/a:b is not in the cache' },
      },
    ]);
  });

  it('never tells a password', async () => {
    const mock = await collector();
    const environment = {
      TRACEPARENT,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: mock.endpoint,
      TART_REGISTRY_PASSWORD: 'canary',
    };
    const args = ['login', '--username', 'u', '--password-stdin', '--no-validate', 'h:1'];
    expect((await runWithInput(new Workplace(cleanup), 'canary', args, { environment })).exitCode).toBe(0);
    expect(spanIn(mock).span.name).toBe('login');
    expect(mock.exports[0]?.body.includes('canary')).toBe(false);
  });

  it.each([
    ['in a name', ['pull', 'ci:typed-secret@h:1/a:b'], ['pull', '…@h:1/a:b']],
    ['with a slash in it', ['pull', 'ci:typed/typed-secret@h:1/a:b'], ['pull', '…@h:1/a:b']],
    ['in a URL', ['inspect', 'https://ci:typed-secret@h:1/a:b'], ['inspect', 'https://…@h:1/a:b']],
    ['of a VM', ['get', 'ci:typed-secret@h'], ['get', '…@h']],
    ['in a host', ['logout', 'ci:typed-secret@h:1'], ['logout', '…@h:1']],
    ['in an option', ['import', '--ref=ci:typed-secret@h:1', 'x', 'vm'], ['import', '…@h:1', 'x', 'vm']],
  ])('a password that was typed %s goes nowhere (S68)', async (_where, args, exported) => {
    const mock = await collector();
    const { stdout, stderr } = await traced(mock, args);
    expect(spanIn(mock).span.attributes).toEqual({ 'Command-line arguments': ['tartlet', ...exported] });
    expect(`${stdout}${stderr}${mock.exports[0]?.body.toString('latin1')}`).not.toContain('typed');
  });

  it('tells nothing that moves a cursor or reorders a line, wherever it came from (S35)', async () => {
    const mock = await collector();
    const hostile = 'a\u001b[31m\u009b2J\u202eb\u0007\nc';
    await traced(mock, ['get', hostile], {
      TRACESTATE: `vendor=${hostile}`,
      CIRRUS_SENTRY_TAGS: `${hostile}=${hostile}`,
      OTEL_RESOURCE_ATTRIBUTES: `${hostile}=${hostile}`,
    });
    const { resource, span } = spanIn(mock);
    const shown = 'a\\u001b[31m\\u009b2J\\u202eb\\u0007 c';
    expect(resource[shown]).toBe(shown);
    expect(span.attributes).toEqual({ [shown]: shown, 'Command-line arguments': ['tartlet', 'get', shown] });
    expect(span.traceState).toBe(`vendor=${shown}`);
    const message = span.events[0]?.attributes['exception.message'];
    expect(span.status).toEqual({ code: 2n, message });
    expect(message).toContain('a\\u001b[31m');
    // oxlint-disable-next-line no-control-regex -- control characters are exactly what must not be there
    expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  });

  it('tells no login that a registry repeats (S67)', async () => {
    const mock = await collector();
    const registry = await ScriptedRegistry.start({
      '*': ({ headers: { authorization } }) =>
        authorization === undefined
          ? { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } }
          : { status: 400, body: `you sent ${authorization}` },
    });
    cleanup.add(async () => registry.close());
    await traced(mock, ['pull', `${registry.authority}/a/b:c`], {
      TART_REGISTRY_HOSTNAME: registry.authority,
      TART_REGISTRY_USERNAME: 'ci',
      TART_REGISTRY_PASSWORD: 'repeated-secret',
    });
    expect(spanIn(mock).span.events).toMatchObject([
      {
        attributes: { 'exception.message': expect.stringContaining('its answer repeats our login, and is not shown') },
      },
    ]);
    expect(mock.exports[0]?.body.toString('latin1')).not.toContain(
      Buffer.from('ci:repeated-secret').toString('base64'),
    );
  });

  it('names, digests and addresses stay as they were typed', async () => {
    const mock = await collector();
    const names = ['h:1/a:b', `h:1/a@sha256:${'0'.repeat(64)}`, '[::1]:5000/a@b', 'h:5000/a@b', 'a@b', 'https://h:1/a'];
    await traced(mock, ['delete', ...names]);
    expect(spanIn(mock).span.attributes).toEqual({ 'Command-line arguments': ['tartlet', 'delete', ...names] });
  });

  it.each([
    ['help', ['--help'], 0],
    ['the version', ['--version'], 0],
    ['wrong usage', ['list', '--no-such-option'], 64],
    ['an unknown command', ['no-such-command'], 64],
    ['completion', ['__complete', 'names'], 0],
  ])('%s is no command, and has no span', async (_what, args, code) => {
    const mock = await collector();
    expect((await traced(mock, args)).exitCode).toBe(code);
    expect(mock.exports).toEqual([]);
  });

  it.each([
    ['none', undefined],
    ['an empty one', ''],
    ['one that is not sampled', `00-${TRACE_ID}-${PARENT_ID}-00`],
  ])('with %s in TRACEPARENT exports nothing', async (_what, traceParent) => {
    const mock = await collector();
    const environment = {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: mock.endpoint,
      ...(traceParent === undefined ? {} : { TRACEPARENT: traceParent }),
    };
    const { exitCode } = await runWithInput(new Workplace(cleanup), '', ['list'], { environment });
    expect(exitCode).toBe(0);
    expect(mock.exports).toEqual([]);
  });

  it('with nonsense in TRACEPARENT begins a trace of its own', async () => {
    const mock = await collector();
    expect((await traced(mock, ['list'], { TRACEPARENT: 'nonsense', TRACESTATE: 'a=b' })).exitCode).toBe(0);
    const { span } = spanIn(mock);
    expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect([span.parentSpanId, span.traceState, span.flags]).toEqual([undefined, undefined, 1n]);
  });
});

describe('a collector that does not do its work', () => {
  it.each([
    ['refuses', 500, 'it answered 500'],
    ['never answers', 'silent', 'no answer within 2 s'],
  ] as const)('and %s changes nothing', async (_what, status, why) => {
    const mock = await collector(status);
    const quiet = await traced(mock, ['fqn', 'vm']);
    expect(quiet).toEqual({ exitCode: 0, stdout: 'vm\n', stderr: '' });
    expect(mock.exports).toHaveLength(1);
    const debugged = await traced(mock, ['fqn', 'vm'], { TARTLET_DEBUG: '1' });
    expect(debugged).toEqual({ exitCode: 0, stdout: 'vm\n', stderr: `note: the trace was not exported: ${why}\n` });
  });

  it.each([
    ['is not there', 'http://127.0.0.1:1/v1/traces', 'ECONNREFUSED'],
    ['has no address', 'nonsense', 'the endpoint is no http(s) address'],
    ['is a file', 'file:///etc/passwd', 'the endpoint is no http(s) address'],
    ['has a user that is badly encoded', 'http://canary%@127.0.0.1:1/', 'the endpoint cannot be used'],
  ])('and %s changes nothing', async (_what, endpoint, why) => {
    const debugged = await traced({ endpoint }, ['fqn', 'vm'], { TARTLET_DEBUG: '1' });
    expect(debugged).toEqual({ exitCode: 0, stdout: 'vm\n', stderr: `note: the trace was not exported: ${why}\n` });
  });
});

describe('what TRACEPARENT may be', () => {
  const parentOf = (text: string) => {
    const parent = readTraceContext(text, undefined)?.parentSpanId;
    return parent === undefined ? undefined : Buffer.from(parent).toString('hex');
  };

  it.each([
    ['the version of today', TRACEPARENT],
    ['spaces around', ` ${TRACEPARENT}\n`],
    ['more flags', `00-${TRACE_ID}-${PARENT_ID}-ff`],
    ['a version of tomorrow', `cc-${TRACE_ID}-${PARENT_ID}-01-what-the-future-will-be-like`],
  ])('%s is understood', (_what, text) => {
    expect(parentOf(text)).toBe(PARENT_ID);
  });

  it.each([
    ['the forbidden version', `ff-${TRACE_ID}-${PARENT_ID}-01`],
    ['more fields than its version has', `${TRACEPARENT}-more`],
    ['capitals', `00-${'A'.repeat(32)}-${PARENT_ID}-01`],
    ['no trace', `00-${'0'.repeat(32)}-${PARENT_ID}-01`],
    ['no parent', `00-${TRACE_ID}-${'0'.repeat(16)}-01`],
    ['too short a trace', `00-1-${PARENT_ID}-01`],
    ['a tail', `cc-${TRACE_ID}-${PARENT_ID}-01.`],
  ])('%s begins another trace', (_what, text) => {
    const context = readTraceContext(text, 'a=b');
    expect(context).toMatchObject({ parentSpanId: undefined, traceState: undefined });
    expect(Buffer.from(context!.traceId).toString('hex')).toMatch(/^(?!0{31}1)[0-9a-f]{32}$/);
  });

  it('pairs that are none are left out', () => {
    expect(readPairs(' A = B ,C=D=E,=x,nothing,,F=')).toEqual({ A: 'B', C: 'D=E', F: '' });
    expect(readPairs(undefined)).toEqual({});
  });
});
