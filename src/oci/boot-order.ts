/*
 * In which order a guest touched its disk when it started: what is to be fetched first for the next one. It is a hint
 * and no more: a wrong one, of whatever origin, costs time and changes no byte. So what is wrong in it is left out, and
 * nothing is refused because of it.
 */

/** Bytes that one number of an order stands for. */
export const BOOT_UNIT_BYTES = 1024 * 1024;

/** Numbers of MiB of a disk (0: its first) in the order of first touch, none of them twice. */
export type BootOrder = readonly number[];
