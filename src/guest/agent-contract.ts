import { bytesField, messageField, stringField, uintField } from '../protobuf/write.ts';
import { fieldsOf } from '../protobuf/read.ts';

/*
 * What Tart's guest agent understands: gRPC, a service without a package, and the numbers of its fields (tart-cli
 * §1.10). An empty piece of input ends it. Fields that are not named here are left out, and passed over.
 */

/** The paths of the agent's methods. */
export const AgentMethod = { exec: '/Agent/Exec', resolveIp: '/Agent/ResolveIP' } as const;

/** The port of the guest's vsock on which the agent listens. */
export const AGENT_PORT = 8080;

/** Of a terminal, in characters. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** What is said in a call of `Exec`. */
export type ExecRequest =
  /** The first. `hasInput`: pieces of input follow. */
  | {
      readonly kind: 'command';
      readonly words: readonly string[];
      readonly hasInput: boolean;
      readonly terminal: TerminalSize | undefined;
    }
  | { readonly kind: 'input'; readonly data: Uint8Array }
  | { readonly kind: 'resize'; readonly size: TerminalSize }
  | { readonly kind: 'unknown' };

/** What is answered. */
export type ExecResponse =
  /** The last. */
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'stdout'; readonly data: Uint8Array }
  | { readonly kind: 'stderr'; readonly data: Uint8Array }
  | { readonly kind: 'unknown' };

/** A size that programs expect of a terminal of which nothing is known. */
const USUAL_SIZE: TerminalSize = { columns: 80, rows: 24 };

export function encodeExecRequest(request: Exclude<ExecRequest, { kind: 'unknown' }>): Buffer {
  switch (request.kind) {
    case 'command': {
      const { words, hasInput, terminal } = request;
      const [program = '', ...args] = words;
      return messageField(1, [
        stringField(1, program),
        ...args.map((arg) => stringField(2, arg)),
        ...(hasInput ? [uintField(3, 1)] : []),
        ...(terminal === undefined ? [] : [uintField(4, 1), messageField(5, sizeFields(terminal))]),
      ]);
    }
    case 'input':
      return messageField(2, [bytesField(1, request.data)]);
    case 'resize':
      return messageField(3, sizeFields(request.size));
  }
}

/** @throws TartletError `NET_PROTOCOL` for what is no message */
export function decodeExecRequest(message: Uint8Array): ExecRequest {
  for (const field of fieldsOf(message)) {
    if (field.kind !== 'bytes') continue;
    if (field.number === 1) return decodeCommand(field.value);
    if (field.number === 2) return { kind: 'input', data: dataOf(field.value) };
    if (field.number === 3) return { kind: 'resize', size: decodeSize(field.value) };
  }
  return { kind: 'unknown' };
}

function decodeCommand(message: Uint8Array): ExecRequest {
  let program = '';
  const args: string[] = [];
  let hasInput = false;
  let hasTerminal = false;
  let size = USUAL_SIZE;
  for (const field of fieldsOf(message)) {
    if (field.kind === 'number') {
      if (field.number === 3) hasInput = field.value !== 0n;
      if (field.number === 4) hasTerminal = field.value !== 0n;
    } else {
      if (field.number === 1) program = textOf(field.value);
      if (field.number === 2) args.push(textOf(field.value));
      if (field.number === 5) size = decodeSize(field.value);
    }
  }
  return { kind: 'command', words: [program, ...args], hasInput, terminal: hasTerminal ? size : undefined };
}

export function encodeExecResponse(response: Exclude<ExecResponse, { kind: 'unknown' }>): Buffer {
  switch (response.kind) {
    case 'exit':
      return messageField(1, [uintField(1, response.code)]);
    case 'stdout':
      return messageField(2, [bytesField(1, response.data)]);
    case 'stderr':
      return messageField(3, [bytesField(1, response.data)]);
  }
}

/** @throws TartletError `NET_PROTOCOL` for what is no message */
export function decodeExecResponse(message: Uint8Array): ExecResponse {
  for (const field of fieldsOf(message)) {
    if (field.kind !== 'bytes') continue;
    if (field.number === 1) return { kind: 'exit', code: Number(BigInt.asIntN(32, numberIn(field.value))) };
    if (field.number === 2) return { kind: 'stdout', data: dataOf(field.value) };
    if (field.number === 3) return { kind: 'stderr', data: dataOf(field.value) };
  }
  return { kind: 'unknown' };
}

export function encodeAddress(address: string): Buffer {
  return stringField(1, address);
}

/** @throws TartletError `NET_PROTOCOL` for what is no message */
export function decodeAddress(message: Uint8Array): string {
  return textOf(dataOf(message));
}

function sizeFields({ rows, columns }: TerminalSize): Buffer[] {
  return [uintField(1, rows), uintField(2, columns)];
}

function decodeSize(message: Uint8Array): TerminalSize {
  let { rows, columns } = USUAL_SIZE;
  for (const { kind, number, value } of fieldsOf(message)) {
    if (kind !== 'number') continue;
    if (number === 1) rows = Number(value);
    if (number === 2) columns = Number(value);
  }
  return { rows, columns };
}

/** Field 1 of a message that has no other. What is not there is empty, or 0. */
function dataOf(message: Uint8Array): Uint8Array {
  let data: Uint8Array = new Uint8Array();
  for (const field of fieldsOf(message)) if (field.number === 1 && field.kind === 'bytes') data = field.value;
  return data;
}

function numberIn(message: Uint8Array): bigint {
  let number = 0n;
  for (const field of fieldsOf(message)) if (field.number === 1 && field.kind === 'number') number = field.value;
  return number;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}
