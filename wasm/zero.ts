/** Whether all of `[at, end)` is zero. */
export function isZero(at: usize, end: usize): bool {
  // Data mostly differs from zero at once; zeros come by the block.
  while (at + 64 <= end) {
    const first = v128.or(v128.load(at), v128.load(at, 16));
    const second = v128.or(v128.load(at, 32), v128.load(at, 48));
    if (v128.any_true(v128.or(first, second))) return false;
    at += 64;
  }
  while (at < end) {
    if (load<u8>(at) != 0) return false;
    at += 1;
  }
  return true;
}
