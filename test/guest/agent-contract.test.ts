import { describe, expect, it } from 'vitest';
import {
  decodeAddress,
  decodeExecRequest,
  decodeExecResponse,
  encodeExecRequest,
  encodeExecResponse,
} from '../../src/guest/agent-contract.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe("what Tart's guest agent understands, byte by byte", () => {
  it('a command with its arguments, its input and its terminal', () => {
    const request = {
      kind: 'command',
      words: ['sh', '-c', ''],
      hasInput: true,
      terminal: { columns: 132, rows: 43 },
    } as const;
    const encoded = bytes('0a15 0a027368 12022d63 1200 1801 2001 2a05 082b 108401');
    expect(hex(encodeExecRequest(request))).toBe(hex(encoded));
    expect(decodeExecRequest(encoded)).toEqual(request);
  });

  it('a command with nothing', () => {
    const request = { kind: 'command', words: ['true'], hasInput: false, terminal: undefined } as const;
    expect(hex(encodeExecRequest(request))).toBe('0a060a0474727565');
    expect(decodeExecRequest(bytes('0a060a0474727565'))).toEqual(request);
  });

  it('input, its end, and another size of the terminal', () => {
    expect(hex(encodeExecRequest({ kind: 'input', data: Buffer.from([0, 255]) }))).toBe('12040a0200ff');
    expect(hex(encodeExecRequest({ kind: 'input', data: new Uint8Array() }))).toBe('12020a00');
    // As Go's library says it: what is empty is left out.
    expect(decodeExecRequest(bytes('1200'))).toEqual({ kind: 'input', data: new Uint8Array() });
    expect(hex(encodeExecRequest({ kind: 'resize', size: { columns: 80, rows: 24 } }))).toBe('1a0408181050');
  });

  it.each([
    ['0a00', { kind: 'exit', code: 0 }],
    ['0a02082a', { kind: 'exit', code: 42 }],
    ['0a0b 08ffffffffffffffffff01', { kind: 'exit', code: -1 }],
    ['12040a02686f', { kind: 'stdout', data: Buffer.from('ho') }],
    ['1a030a0121', { kind: 'stderr', data: Buffer.from('!') }],
    // Which of its commands this is (field 4), and what is not known yet.
    ['22030a0131', { kind: 'unknown' }],
    ['', { kind: 'unknown' }],
    ['fa0101 01', { kind: 'unknown' }],
  ])('the answer %s', (text, response) => {
    expect(decodeExecResponse(bytes(text))).toEqual(response);
  });

  it('answers of ours are the same', () => {
    expect(hex(encodeExecResponse({ kind: 'exit', code: 42 }))).toBe('0a02082a');
    expect(hex(encodeExecResponse({ kind: 'stderr', data: Buffer.from('!') }))).toBe('1a030a0121');
    expect(decodeAddress(bytes('0a0831302e302e302e32'))).toBe('10.0.0.2');
  });

  it.each([
    ['a length behind its end', '12ff7f0a'],
    ['a number that never ends', '0affffffffffffffffffffffff'],
    ['a kind of value that there is not', '0b00'],
    ['a number that is cut off', '80'],
    ['eight bytes of which four are there', '0900000000'],
  ])('%s is no message', (_, text) => {
    expect(() => decodeExecResponse(bytes(text))).toThrow('the bytes are no message of Protocol Buffers');
  });
});
