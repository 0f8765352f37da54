/** Numbers of a store that cost nothing to ask for. Counts are those since this process began. */
export interface StoreFacts {
  /** Content by digest, stored once however many images need it. Undefined while it is counted for the first time. */
  readonly stored: { readonly blobs: number; readonly bytes: number } | undefined;
  readonly openUploads: number;
  /** What garbage collections have removed, and how many there were. */
  readonly collected: { readonly runs: number; readonly blobs: number; readonly bytes: number };
}

/** What a store tells to those who operate it, whatever it keeps: no names of repositories, and nothing secret. */
export interface StoreStatus {
  facts(): StoreFacts;
  /**
   * Looks whether content can be read.
   * @throws when it cannot, for the log alone.
   */
  check(): Promise<void>;
}
