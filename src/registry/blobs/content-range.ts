/** The part of a blob that a 206 carries. */
export interface ContentRange {
  /** First byte. */
  readonly start: number;
  /** The byte after the last one. */
  readonly end: number;
  /** The whole length; undefined for `*`. */
  readonly total: number | undefined;
}

/**
 * Reads `Content-Range: bytes 0-9/512`. Old Nexus releases leave out the unit (sonatype/nexus-public#24). Undefined for
 * what is no range, and for one that ends before it begins, as a CDN was seen to send (reliability N41).
 */
export function parseContentRange(value: string): ContentRange | undefined {
  const match = /^(?:bytes[ =]\s*)?(\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i.exec(value.trim());
  if (match === null) return undefined;
  const start = Number(match[1]);
  const end = Number(match[2]) + 1;
  const total = match[3] === '*' ? undefined : Number(match[3]);
  return end <= start || (total !== undefined && end > total) ? undefined : { start, end, total };
}
