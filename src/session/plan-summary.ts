/** A disk of this machine that should hold chunks of others. */
export interface Seed {
  readonly path: string;
  /** Bytes of the file. */
  readonly size: number;
  readonly kind: 'image' | 'vm' | 'partial';
  /** What people call it: an image's name, a VM's, the digest of an unfinished pull. */
  readonly name: string;
}

/** What a plan comes to, in bytes; disk bytes are decoded. */
export interface PlanSummary {
  /** Bytes to cross the network. A blob that occurs several times counts once. */
  readonly fetchBytes: number;
  readonly diskBytes: number;
  /** Disk bytes that are copied or shared, by where they are from, the most first. */
  readonly reused: readonly { readonly seed: Seed; readonly bytes: number; readonly chunks: number }[];
  /** Disk bytes that are zero and need nothing. */
  readonly zeroBytes: number;
  /** Disk bytes that an earlier pull left in their place. */
  readonly partialBytes: number;
  /** Disk bytes that are in the content store as whole files. */
  readonly storedBytes: number;
  readonly chunks: Readonly<Record<'fetch' | 'reuse' | 'zero' | 'partial', number>>;
}
