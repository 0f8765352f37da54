// More than 250 lines, because it is one table, a row for each code of an error.
import type { ErrorCode } from '../../errors.ts';

/** What is true of every error with the same code. `npm run errors-doc` makes `docs/guide/errors.md` of this table. */
interface ErrorKind {
  /** What the process ends with. */
  readonly exitCode: number;
  /** What happened, for a user who looks the code up. */
  readonly meaning: string;
  /**
   * What to do about it; printed where the error brings no next step of its own. A next step of the error itself is
   * more exact, and is printed instead.
   */
  readonly next: string;
}

/** Tart's exit codes (tart-cli §0.2), and the shell's for an interrupt (reliability P7). */
const FAILURE = 1;
const NO_SUCH_STATE = 2;
const NOT_IN_TIME = 4;
const USAGE = 64;
const INTERRUPTED = 130;

const AGAIN = 'run the same command again: what is done already is not done twice';
const DAMAGED =
  'run the same command again; if it stays so, a proxy on the way or the storage of the registry damages data';
const PUBLISHER = 'tell the publisher of the image: it has to be pushed again';
const SETTINGS = 'correct the setting that the message names';
const PERMISSIONS = 'check owner and permissions of the path that the message names';

/** Every code is listed, so that a new one does not compile without a decision. */
export const ERROR_KINDS: Readonly<Record<ErrorCode, ErrorKind>> = {
  USAGE: {
    exitCode: USAGE,
    meaning: 'The command line cannot be understood, or its parts exclude each other. Nothing was begun.',
    next: 'the option --help of the command explains what it takes',
  },
  NAME_MALFORMED: {
    exitCode: FAILURE,
    meaning: 'A text is not the name of an image or of a VM; the message says at which character it goes wrong.',
    next: 'write images as host[:port]/repository[:tag] or …@sha256:digest, and VMs without "/"',
  },
  NAME_COLLISION: {
    exitCode: FAILURE,
    meaning: 'Two different image names need the same path in the cache (`host/a:b` and `host/a/b`).',
    next: 'delete one of the two images, or use another TART_HOME for it',
  },
  DIGEST_MALFORMED: {
    exitCode: FAILURE,
    meaning: 'A text is not a digest.',
    next: 'write it as sha256: and 64 hex digits, or name the image by its tag',
  },
  NET_DNS: {
    exitCode: FAILURE,
    meaning: 'The name of a host leads to no address.',
    next: 'check the spelling of the host and the network of this machine',
  },
  NET_CONNECT: {
    exitCode: FAILURE,
    meaning: 'Connection refused. For `serve`: the address cannot be listened on.',
    next: 'check that the registry runs there and that the port is right',
  },
  NET_TLS: {
    exitCode: FAILURE,
    meaning:
      'No TLS connection that can be trusted: no TLS at all, an unknown CA, another name, an expired certificate.',
    next: 'check the certificate of the registry and the clock of this machine',
  },
  NET_PROXY: {
    exitCode: FAILURE,
    meaning: 'The proxy of the environment cannot be used, or opens no connection.',
    next: 'check HTTPS_PROXY and HTTP_PROXY, or name the registry in NO_PROXY',
  },
  NET_TIMEOUT: {
    exitCode: FAILURE,
    meaning:
      'The other side did not answer, or stopped sending, for longer than is waited for. It was tried several times.',
    next: `check the network, then ${AGAIN}`,
  },
  NET_BROKEN: {
    exitCode: FAILURE,
    meaning: 'The connection broke again and again, without progress in between.',
    next: AGAIN,
  },
  NET_PROTOCOL: {
    exitCode: FAILURE,
    meaning: 'The answer is no proper HTTP, or not what an OCI registry says.',
    next: 'check that this is the address of an OCI registry, and what stands between it and this machine',
  },
  RATE_LIMITED: {
    exitCode: FAILURE,
    meaning: 'The registry asks to wait for longer than five minutes.',
    next: 'try again later, or log in: registries let known users do more',
  },
  REG_UNAVAILABLE: {
    exitCode: FAILURE,
    meaning: 'The registry answers that it cannot work now (5xx), each time it was asked.',
    next: 'try again later; if it stays so, tell the operator of the registry',
  },
  REG_REJECTED: {
    exitCode: FAILURE,
    meaning: 'The registry refuses this request (4xx); its reason is in the message.',
    next: 'do what the registry says, or ask its operator',
  },
  REG_BLOCKED: {
    exitCode: FAILURE,
    meaning: 'A registries.conf of this machine forbids to pull from there. Nothing was asked.',
    next: 'take "blocked" out of the file that the message names, or name a registry that is allowed',
  },
  AUTH_REQUIRED: {
    exitCode: FAILURE,
    meaning: 'The registry wants to know who we are, and no credential for it was found.',
    next: 'log in: tartlet login, or TART_REGISTRY_USERNAME and TART_REGISTRY_PASSWORD',
  },
  AUTH_DENIED: {
    exitCode: FAILURE,
    meaning: 'The registry knows who we are, and does not let us; or it does not take the password.',
    next: 'check user, password and rights, then log in again',
  },
  AUTH_REALM: {
    exitCode: FAILURE,
    meaning:
      'The registry sends us for a token to a place that must not see the password, has no TLS, or is on ' +
      'an internal address. Nothing was sent there.',
    next: 'check the authentication settings of the registry',
  },
  AUTH_HELPER: {
    exitCode: FAILURE,
    meaning:
      'A credential helper or the Keychain failed. No other credential was tried in its place; what is ' +
      'read was asked for without one.',
    next: 'check the helper that the message names',
  },
  REDIRECT_REFUSED: {
    exitCode: FAILURE,
    meaning:
      'The registry leads to where nothing may be sent or asked: from https to http, in a loop, to an ' +
      'internal address.',
    next: 'check the address of the registry, and what stands between it and this machine',
  },
  NOT_FOUND: {
    exitCode: FAILURE,
    meaning: 'The registry has no such image, tag or blob; or there is no such file.',
    next: 'check the spelling of the name',
  },
  DIGEST_MISMATCH: {
    exitCode: FAILURE,
    meaning: 'The bytes are not those that their digest promises. They were thrown away.',
    next: DAMAGED,
  },
  SIZE_MISMATCH: {
    exitCode: FAILURE,
    meaning: 'There are more or fewer bytes than promised. They were thrown away.',
    next: DAMAGED,
  },
  RANGE_BROKEN: {
    exitCode: FAILURE,
    meaning: 'The registry answers a request for a part of a blob with another part.',
    next: DAMAGED,
  },
  MANIFEST_INVALID: {
    exitCode: FAILURE,
    meaning: 'The manifest is what its digest says, but it contradicts itself or the specification.',
    next: PUBLISHER,
  },
  MANIFEST_TOO_LARGE: {
    exitCode: FAILURE,
    meaning: 'The manifest is larger, or has more parts, than any image needs.',
    next: PUBLISHER,
  },
  MEDIA_UNSUPPORTED: {
    exitCode: FAILURE,
    meaning: 'The image is of another kind: a container image, an image index, a format of the future.',
    next: 'check the name: only VM images of Tart can be used here',
  },
  CHUNK_CORRUPT: {
    exitCode: FAILURE,
    meaning: 'A disk chunk does not decode to what the manifest promises, or a disk changed while it was read.',
    next: PUBLISHER,
  },
  UPLOAD_LOST: {
    exitCode: FAILURE,
    meaning: 'The registry forgot an upload under way, each time it was begun.',
    next: AGAIN,
  },
  UPLOAD_REJECTED: {
    exitCode: FAILURE,
    meaning: 'The registry does not take the blob.',
    next: 'do what the registry says, or ask its operator',
  },
  DISK_FULL: {
    exitCode: FAILURE,
    meaning: 'There is no room: on the disk, or in the quota.',
    next: 'delete images or VMs you no longer need (tartlet list, tartlet prune), then run the same command again',
  },
  DISK_IO: {
    exitCode: FAILURE,
    meaning: 'The disk failed to read or to write. What was written last is not trusted.',
    next: 'check the disk and the log of the system',
  },
  DISK_READONLY: {
    exitCode: FAILURE,
    meaning: 'The file system is mounted for reading only.',
    next: 'mount it for writing, or set TART_HOME to another directory',
  },
  DISK_DENIED: {
    exitCode: FAILURE,
    meaning: 'The system does not let this user do that.',
    next: PERMISSIONS,
  },
  DISK_UNSUPPORTED: {
    exitCode: FAILURE,
    meaning: 'The file system, or the machine, cannot do what is needed: locks, symlinks, files of this size.',
    next: 'set TART_HOME to a directory on a local disk',
  },
  STORE_DAMAGED: {
    exitCode: FAILURE,
    meaning: 'Something in the home is not what it must be. Nothing was removed.',
    next: 'look at what the message names: doctor says more about it',
  },
  VM_NOT_FOUND: {
    exitCode: NO_SUCH_STATE,
    meaning: 'There is no such VM, or no such image in the cache.',
    next: 'tartlet list shows what there is',
  },
  VM_RUNNING: {
    exitCode: NO_SUCH_STATE,
    meaning: 'The VM runs, or another command is at work on it, and what was asked needs it at rest.',
    next: 'stop it first',
  },
  VM_NOT_RUNNING: {
    exitCode: NO_SUCH_STATE,
    meaning: 'The VM does not run, and what was asked needs it running.',
    next: 'tartlet list shows which VMs run',
  },
  VM_EXISTS: {
    exitCode: FAILURE,
    meaning: 'The name is taken, by a VM or by something else. It was left alone.',
    next: 'choose another name',
  },
  VM_INVALID: {
    exitCode: FAILURE,
    meaning: 'A VM lacks files, or has an empty disk.',
    next: 'look into the directory of the VM: config.json, nvram.bin and disk.img belong there',
  },
  ARCHIVE_INVALID: {
    exitCode: FAILURE,
    meaning: 'The archive is damaged, or reaches outside of itself. Nothing of it was imported.',
    next: 'export it again, or check how it was copied',
  },
  CONFIG_INVALID: {
    exitCode: FAILURE,
    meaning: 'A configuration cannot be used: of a VM, of logins, of certificates, of the embedded registry.',
    next: SETTINGS,
  },
  NEEDS_MACOS: {
    // What only a Mac can do was asked of the wrong machine: Tart calls such options wrong usage (tart-cli §1.1).
    exitCode: USAGE,
    meaning: 'Only macOS can do this.',
    next: 'use Tart on a Mac for it',
  },
  HOST_LACKS: {
    exitCode: FAILURE,
    meaning: 'This machine lacks a program or a right that running the VM takes.',
    next: 'install or allow what is named',
  },
  GUEST_FAILED: {
    exitCode: FAILURE,
    meaning: 'The VM did not start, or ended by an accident.',
    next: 'look into serial.log in the directory of the VM',
  },
  GUEST_UNREACHABLE: {
    exitCode: FAILURE,
    meaning: 'The VM runs, and what was asked of its guest was not answered.',
    next: 'wait until the guest has started, and look whether it has the agent that is named',
  },
  GUEST_LATE: {
    // Told from a VM that failed: it runs, and may only be slow (run-fleet-demand §b.5).
    exitCode: NOT_IN_TIME,
    meaning: 'The VM runs, and its guest did not do in time what `run --wait-for` waits for.',
    next: 'wait for longer with --timeout, or look into serial.log in the directory of the VM',
  },
  BUSY: {
    exitCode: FAILURE,
    meaning: 'Another command or a VM is using this. It was left alone.',
    next: 'wait for the other command to end, and try again',
  },
  INTERRUPTED: {
    exitCode: INTERRUPTED,
    meaning: 'A signal ended the command. SIGTERM gives exit code 143, SIGHUP 129.',
    next: AGAIN,
  },
  INTERNAL: {
    exitCode: FAILURE,
    meaning: 'A defect of Tartlet.',
    next: 'this is a defect of Tartlet: report it with the output that TARTLET_DEBUG=1 gives',
  },
};
