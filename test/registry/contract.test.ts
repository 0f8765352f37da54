import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fetchBlobFile } from '../../src/chunks/blob-file.ts';
import { TartletError } from '../../src/errors.ts';
import { Digest } from '../../src/names/digest.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { BlobFetcher, ManifestSource } from '../../src/registry/contract.ts';
import { resolveManifest } from '../../src/transfer/manifest-tree.ts';
import { temporaryFolder } from '../support/folder.ts';
