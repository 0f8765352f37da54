const KIB = 1024;

/**
 * The sizes of parts that are tried where a request was too large for what stands before the registry, in bytes. Limits
 * of services are rarely below 100 MB; nginx as it comes takes 1 MiB.
 */
const SIZES = [16 * 1024 * KIB, 4 * 1024 * KIB, 1024 * KIB, 256 * KIB, 64 * KIB];

/**
 * What to try after a request of `refused` bytes was too large; undefined: there is nothing smaller that the registry
 * would take.
 * @param minimum the smallest part that the registry takes.
 */
export function smallerPart(refused: number, minimum: number): number | undefined {
  return SIZES.find((size) => size < refused && size >= minimum);
}
