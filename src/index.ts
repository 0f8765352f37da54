/**
 * Tartlet as a library: everything that the command does, without printing and without exiting.
 *
 * Begin with {@link openTartlet}. See docs/guide/library.md.
 *
 * @packageDocumentation
 */
export type { ExportOptions, ExportOutcome, ExportTarget } from './archive/export.ts';
export type { ImportOptions, ImportOutcome, ImportSource } from './archive/import.ts';
export type { TimeSpent } from './chunks/time-spent.ts';
export type { Credential, CredentialSource } from './credentials/credential.ts';
export type { CredentialsFor } from './session/open-source.ts';
export type { DeepTotals } from './doctor/deep-check.ts';
export type { Assignment, DoctorReport, DoctorOptions, Moved } from './doctor/run-doctor.ts';
export type { Finding, ImagePlace, Remedy, Extent } from './doctor/finding.ts';
export type { FindingId, Severity } from './doctor/finding-kind.ts';
export type { HomeTotals } from './doctor/home-check.ts';
export type { RepairResult } from './doctor/repair-finding.ts';
export { type ErrorCode, type ErrorFacts, isTartletError, TartletError } from './errors.ts';
export type { SeedContent } from './cloud-image/seed.ts';
export type { CopyMethod } from './fs/disk/disk-copy.ts';
export type { Partition, PartitionTable } from './cloud-image/partition-table.ts';
export type { ByteRange } from './fs/disk/read-range.ts';
export type { Hint, HintFacts, HintKind, HintOf } from './hint.ts';
export type { KeptBy } from './home/images/image-removal.ts';
export type { Origin } from './home/origin.ts';
export type { DanglingTag } from './home/prune/dangling-tag.ts';
export type { Footprint } from './home/prune/footprint.ts';
export type { Deleted } from './home/prune/measured-delete.ts';
export type { Candidate, ImageCandidate, PrunableEntry, Spared } from './home/prune/prune-candidate.ts';
export type { PruneCriteria, PruneReason } from './home/prune/prune-choice.ts';
export type { Deletion } from './home/prune/prune-measure.ts';
export type { PruneReport, PruneRequest } from './home/prune/prune.ts';
export type { VmLayout } from './home/vm-directory.ts';
export type { VmState } from './home/vms/local-vms.ts';
export type { FleetPeers, ServePeersOptions } from './library/fleet.ts';
export type { Image, ImageDisk } from './library/image.ts';
export type { ImageName, RegistryName, VmName } from './library/name.ts';
export { type OpenOptions, openTartlet } from './library/open.ts';
export type { OperationOptions, TransferProgress } from './library/operation.ts';
export type {
  ExecVmOptions,
  GuestResult,
  RunningVm,
  RunVmOptions,
  VmAddressOptions,
} from './library/running-vm.ts';
export type { PrefetchedImages, Prefetching } from './library/prefetched-images.ts';
export type { Login, Tartlet } from './library/tartlet.ts';
export type { Orchard, WorkerKind } from './orchard/orchard.ts';
export type { PrefetchOptions, PrefetchReport } from './prefetch/prefetch.ts';
export { parseQuietHours, type QuietHours } from './prefetch/quiet-hours.ts';
export type { ImageOutcome, RefreshOptions } from './prefetch/refresh.ts';
export type { RolledBack } from './prefetch/rollback.ts';
export type { PrefetchSource } from './prefetch/source.ts';
export type { PrefetchStatus } from './prefetch/status.ts';
export type { BrokenEntry } from './prefetch/wanted.ts';
export { RateLimit, type RateClock, type SharedRate, type Way } from './registry/request/rate-limit.ts';
export type { Method } from './registry/request/request.ts';
export type { NotLazy } from './lazy-disk/choose.ts';
export type { LazyMode } from './lazy-disk/clone-lazily.ts';
export type { OnDemandOptions, OnDemandOutcome } from './lazy-disk/clone-on-demand.ts';
export type { BootOrderOptions, KnownBootOrder, Layers, PublishedBootOrder } from './lazy-disk/known-order.ts';
export type { LittleGain, StartEstimate } from './lazy-disk/estimate.ts';
export type { OnWire, ShownHeader, WireEvent } from './registry/wire.ts';
export type { PeerRequest } from './peer/peer-handler.ts';
export type { Peer, PeerOptions } from './peer/peer-server.ts';
export type { FleetKey } from './peering/fleet-key.ts';
export type { PeerAddress } from './peering/peer-address.ts';
export type { PeerFault } from './peering/peer-failure.ts';
export type { MulticastOptions } from './peering/peer-search.ts';
export type { PeerEvent } from './session/peer-event.ts';
export type { Seed, PlanSummary } from './session/plan-summary.ts';
export type { Direction, TransferEvent } from './session/progress.ts';
export type { CopyOptions, CopyOutcome } from './transfer/copy/copy.ts';
export type { LoginCheck } from './transfer/login.ts';
export type { SpaceNeeded } from './transfer/pull/plan.ts';
export type { RemoteListing, RemoteListOptions } from './transfer/remote-listing.ts';
export type { PullPreview } from './transfer/pull/pull-preview.ts';
export type { PullOptions, PullOutcome } from './transfer/pull/pull.ts';
export type { PushOptions, PushOutcome } from './transfer/push/push.ts';
export type { CloneOptions, CloneOutcome } from './vm/clone.ts';
export type { Arch } from './vm/config.ts';
export type { CreateFromImageOptions, CreateOptions, CreateOutcome } from './vm/create.ts';
export type { VmDescription } from './vm/describe.ts';
export type { FromImageOptions, ImageSource } from './vm/disk-from-image.ts';
export type { Display } from './vm/display.ts';
export { identifyEfiStore } from './vm/efi-store.ts';
export type { DiskUsage, ImageUsage, UsedBytes, VmUsage } from './usage/disk-usage.ts';
export type { InspectedFile, InspectedManifest, Inspection } from './vm/inspect.ts';
export type { InspectedRun } from './vm/inspect-run.ts';
export type { Listed } from './vm/listing.ts';
export type { PushVmOptions } from './vm/push.ts';
export type { SetOptions, SetOutcome } from './vm/set.ts';
export type { StopOutcome } from './vm/stop.ts';
export type { DiskFailure, Ending } from './hypervisor/hypervisor.ts';
export type { Console, Disk, DiskOptions, DiskSync, DiskCaching, Forward, SoundDriver } from './hypervisor/machine.ts';
export type { WantedShare } from './hypervisor/share-options.ts';
export type { Resolver } from './run/address.ts';
export type { RunEnding } from './run/run.ts';
export type { DiskNeeds, RunEvent } from './run/run-request.ts';
export type { DiskOfImage, RunSettings } from './run/run-settings.ts';
