/**
 * A client of the OCI distribution protocol 1.1: one repository of one registry.
 *
 * @packageDocumentation
 */
export type { Credential, CredentialSource } from '../credentials/credential.ts';
export { type ErrorCode, type ErrorFacts, isTartletError, TartletError } from '../errors.ts';
export { RepositoryClient, type RepositoryOptions } from '../library/repository-client.ts';
export type { BlobIdentity } from '../oci/descriptor.ts';
export type { BlobReadOptions } from '../registry/blobs/blob.ts';
export type { BlobSource, BlobUploadOptions } from '../registry/blobs/upload.ts';
export type { CallOptions } from '../registry/contract.ts';
export type { ManifestReference } from '../registry/manifest-reference.ts';
export type { ManifestStatus, RawManifest } from '../registry/manifest.ts';
export { RateLimit, type RateClock, type SharedRate, type Way } from '../registry/request/rate-limit.ts';
export type { Method } from '../registry/request/request.ts';
export type { OnWire, ShownHeader, WireEvent } from '../registry/wire.ts';
