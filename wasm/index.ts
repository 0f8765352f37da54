/*
 * The parts of the codec that every byte of a disk goes through, for WebAssembly. AssemblyScript: TypeScript's syntax,
 * but `usize` is an address and `u32` a number of 32 bits. The memory belongs to whoever makes an instance; nothing
 * here keeps state between calls. src/codec has the same in TypeScript, where the format is explained; both give the
 * same bytes, and a test holds them to it.
 */

export { decodeBlock } from './decode';
export { encodeBlock } from './encode';
export { isZero } from './zero';

/** First address that is free for the user of this module. */
export function freeFrom(): usize {
  return __heap_base;
}
