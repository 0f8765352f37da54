/**
 * The library: everything the command does, as functions that neither print nor exit. See docs/library.md.
 */
export { TartletError, isTartletError, type ErrorCode, type ErrorFacts } from './errors.ts';
export type { Hint, HintFacts, HintKind } from './hint.ts';
export { Digest, type DigestAlgorithm } from './names/digest.ts';
export { LocalName } from './names/local-name.ts';
export { RegistryAddress } from './names/registry-address.ts';
export { RemoteName, type Reference } from './names/remote-name.ts';
export { Repository } from './names/repository.ts';
export { Tag } from './names/tag.ts';
export type { Credential, CredentialSource } from './credentials/credential.ts';
export { createCredentialSource, type CredentialSourceOptions } from './credentials/chain.ts';
export {
  describePlace,
  eraseCredential,
  type SecretPlace,
  storeCredential,
} from './credentials/credential-store.ts';
export type { CredentialSettings, CredentialStoreSettings, HeldLock, LockFile } from './credentials/settings.ts';
export { type CredentialNote, describeNote } from './credentials/note.ts';
export type { Finding, Remedy, Stretch } from './doctor/finding.ts';
export type { FindingId, Severity } from './doctor/finding-kind.ts';
export type { HomeTotals } from './doctor/home-check.ts';
export type { Mended } from './doctor/mend.ts';
export { type Deleted, deleteMeasured } from './home/prune/measured-delete.ts';
export type { KeptBy, Removed } from './home/images/image-removal.ts';
export { Home, type HomeSettings } from './home/home.ts';
export type { CachedImage } from './home/images/image-cache.ts';
export { lockFile } from './fs/lock/lock.ts';
export type { LocalVm, VmState } from './home/vms/local-vms.ts';
export type { Origin } from './home/origin.ts';
export {
  assignRegistry,
  type CacheSurvey,
  migrateCache,
  type MigrationOptions,
  type MigrationReport,
  type MovedImage,
  surveyCache,
} from './migration/migrate.ts';
export type { StayReason } from './migration/destination.ts';
export type { Kept } from './migration/rehouse.ts';
export type { Stay } from './migration/step.ts';
export type { MigrationStore } from './migration/store.ts';
export type { Candidate } from './home/prune/prune-candidate.ts';
export type { PruneCriteria, PruneReason } from './home/prune/prune-choice.ts';
export type { Footprint } from './home/prune/footprint.ts';
export { type Pinned, pinImage } from './home/images/pin.ts';
export type { Deletion } from './home/prune/prune-measure.ts';
export { prune, type PruneReport, type PruneRequest } from './home/prune/prune.ts';
export type { VmFolder, VmLayout } from './home/vm-folder.ts';
export { RegistryClient, type RegistryClientOptions } from './registry/client.ts';
export type { OnWire, ShownHeader, WireEvent } from './registry/wire.ts';
export { createRegistry, type ListeningAddress, type Registry } from './server/server.ts';
export type { GarbageReport } from './server/store/garbage.ts';
export { type Htpasswd, parseHtpasswd } from './server/settings/htpasswd.ts';
export type { AuthOptions, Limits, RegistryOptions, Timeouts } from './server/settings/options.ts';
export type { RegistryEvent } from './server/settings/event.ts';
export { checkLogin, type LoginCheckOptions } from './transfer/login.ts';
export { copyImage, type CopyOptions, type CopyOutcome } from './transfer/copy/copy.ts';
export { type Direction, type TransferEvent, TransferTotals } from './session/progress.ts';
export type { SpaceNeeded } from './transfer/pull/plan.ts';
export type { Donor, PlanSummary } from './session/plan-summary.ts';
export { previewPull, type PullPreview } from './transfer/pull/pull-preview.ts';
export { pull, type PullOptions, type PullOutcome } from './transfer/pull/pull.ts';
export type { PushOptions, PushOutcome } from './transfer/push/push.ts';
export { Session, type SessionOptions } from './session/session.ts';
export { type CloneOptions, cloneVm, type CloneOutcome } from './vm/clone.ts';
export { createLinuxVm, type CreateOptions, type CreateOutcome } from './vm/create.ts';
export { describeVm, type VmDescription } from './vm/describe.ts';
export { identifyEfiStore } from './vm/efi-store.ts';
export {
  type Assignment,
  examine,
  type ExamineOptions,
  type Examination,
  type Moved,
} from './doctor/examine.ts';
export { exportVm, type ExportOptions, type ExportOutcome, type ExportTarget } from './archive/export.ts';
export { importVm, type ImportOptions, type ImportOutcome, type ImportSource } from './archive/import.ts';
export { inspect, type InspectedManifest, type Inspection } from './vm/inspect.ts';
export { type Listed, listVms } from './vm/listing.ts';
export { type PushNames, pushVm, type PushVmOptions } from './vm/push.ts';
export { setVm, type SetOptions, type SetOutcome } from './vm/set.ts';
export { stopVm, type StopOptions, type StopOutcome } from './vm/stop.ts';
