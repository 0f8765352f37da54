import { Refusal } from '../server/contract/refusal.ts';
import type { Catalog } from '../server/contract/stores.ts';
import type { UploadStore } from '../server/contract/upload-store.ts';

/** What every change is answered with. */
export function readOnly(): Refusal {
  return new Refusal(405, 'UNSUPPORTED', 'this is a cache, which only reads: push to the registry itself', {
    headers: { Allow: 'GET, HEAD' },
  });
}

export const NO_UPLOADS: UploadStore = {
  mount: async () => {
    throw readOnly();
  },
  begin: async () => {
    throw readOnly();
  },
  find: async () => {
    throw readOnly();
  },
};

/** The names alone could be secrets, and upstreams have lists of their own. */
export const NO_CATALOG: Catalog = {
  list: async () => {
    throw new Refusal(405, 'UNSUPPORTED', 'a cache has no list of repositories: ask the registry itself');
  },
};
