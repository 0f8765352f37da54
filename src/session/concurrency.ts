/** Chunks or blobs under way at once unless more or fewer are asked for, as in Tart. */
export const DEFAULT_CONCURRENCY = 4;
