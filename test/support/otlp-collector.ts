import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One export as it arrived. */
export interface ReceivedExport {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What stands in for a collector. */
export interface Collector {
  readonly endpoint: string;
  readonly exports: ReceivedExport[];
  close(): Promise<void>;
}

/** @param status the answer to everything; `silent` never answers. */
export async function startCollector(status: number | 'silent' = 200): Promise<Collector> {
  const exports: ReceivedExport[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      exports.push({ method, path: url, headers, body: Buffer.concat(pieces) });
      if (status !== 'silent') response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/custom/traces`,
    exports,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** A field of a message: its number and, by wire type, a number or bytes. */
type Field = readonly [field: number, value: bigint | Buffer];

/**
 * Reads a Protocol Buffers message, knowing nothing of its meaning. Written for tests: it shares no code with the
 * product.
 */
function readMessage(bytes: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at];
      if (byte === undefined) throw new Error('the message ends in a varint');
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new Error('the message ends in a field');
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = varint();
    const field = Number(tag >> 3n);
    const wireType = Number(tag & 7n);
    if (wireType === 0) fields.push([field, varint()]);
    else if (wireType === 1) fields.push([field, take(8).readBigUInt64LE()]);
    else if (wireType === 2) fields.push([field, take(Number(varint()))]);
    else if (wireType === 5) fields.push([field, BigInt(take(4).readUInt32LE())]);
    else throw new Error(`wire type ${wireType}`);
  }
  return fields;
}

class Message {
  readonly #fields: Field[];

  constructor(bytes: Buffer) {
    this.#fields = readMessage(bytes);
  }

  all(field: number): Message[] {
    return this.#buffers(field).map((bytes) => new Message(bytes));
  }

  text(field: number): string | undefined {
    return this.#buffers(field).at(-1)?.toString('utf8');
  }

  hex(field: number): string | undefined {
    return this.#buffers(field).at(-1)?.toString('hex');
  }

  number(field: number): bigint | undefined {
    const found = this.#fields.findLast(([each]) => each === field)?.[1];
    return typeof found === 'bigint' ? found : undefined;
  }

  #buffers(field: number): Buffer[] {
    return this.#fields.flatMap(([each, value]) => (each === field && Buffer.isBuffer(value) ? [value] : []));
  }
}

export interface ReceivedSpan {
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly parentSpanId: string | undefined;
  readonly traceState: string | undefined;
  readonly name: string | undefined;
  readonly kind: bigint | undefined;
  readonly startNanoseconds: bigint | undefined;
  readonly endNanoseconds: bigint | undefined;
  readonly attributes: Record<string, string | string[]>;
  readonly events: readonly { readonly name: string | undefined; readonly attributes: Record<string, unknown> }[];
  readonly status: { readonly code: bigint | undefined; readonly message: string | undefined } | undefined;
  readonly flags: bigint | undefined;
}

/** An `ExportTraceServiceRequest` as lists of lists, so that a test can count them. */
export function readExport(body: Buffer) {
  return new Message(body).all(1).map((resourceSpans) => ({
    resource: resourceSpans.all(1).map((resource) => attributesOf(resource, 1)),
    scopes: resourceSpans.all(2).map((scopeSpans) => ({
      scope: scopeSpans.all(1).map((scope) => ({ name: scope.text(1), version: scope.text(2) })),
      spans: scopeSpans.all(2).map(spanOf),
    })),
  }));
}

function spanOf(span: Message): ReceivedSpan {
  const status = span.all(15)[0];
  return {
    traceId: span.hex(1),
    spanId: span.hex(2),
    traceState: span.text(3),
    parentSpanId: span.hex(4),
    name: span.text(5),
    kind: span.number(6),
    startNanoseconds: span.number(7),
    endNanoseconds: span.number(8),
    attributes: attributesOf(span, 9),
    events: span.all(11).map((event) => ({ name: event.text(2), attributes: attributesOf(event, 3) })),
    status: status && { code: status.number(3), message: status.text(2) },
    flags: span.number(16),
  };
}

function attributesOf(message: Message, field: number): Record<string, string | string[]> {
  const attributes: Record<string, string | string[]> = {};
  for (const pair of message.all(field)) {
    const [value] = pair.all(2);
    const array = value
      ?.all(5)[0]
      ?.all(1)
      .map((element) => element.text(1) ?? '?');
    attributes[pair.text(1) ?? '?'] = array ?? value?.text(1) ?? '?';
  }
  return attributes;
}
