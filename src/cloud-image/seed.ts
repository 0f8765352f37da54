import { type IsoFile, readIso, writeIso } from './iso.ts';

/*
 * What cloud-init in a guest is told at its first start: a CD image by whose label it finds it (cloud-init's data
 * source NoCloud).
 */

/** What a guest is to be made into. */
export interface SeedContent {
  /** As cloud-init reads it: `#cloud-config`, a script and so on. */
  readonly userData: Uint8Array;
  /** Settings of the network, as cloud-init or netplan reads them. Default: cloud-init's own, DHCP. */
  readonly networkConfig?: Uint8Array | undefined;
}

/** The identity of a guest. cloud-init does its work once for each id. */
export interface SeedIdentity {
  readonly instanceId: string;
  /** Of the VM: what of it a host name cannot have becomes a dash. */
  readonly vmName: string;
}

/** By this label cloud-init finds it. */
const LABEL = 'cidata';
const USER_DATA = 'user-data';
const META_DATA = 'meta-data';
const NETWORK_CONFIG = 'network-config';

/** A label of a host name has so many characters at most (RFC 1035 §2.3.4). */
const HOST_NAME_LENGTH = 63;

/** How what cloud-init heeds begins (cloud-init, "User-data formats"). */
const KNOWN_BEGINNINGS = [
  '#cloud-',
  '#!',
  '#include',
  '#part-handler',
  '#upstart-job',
  '## template:',
  'Content-Type:',
];
const KNOWN_BYTES = [Buffer.from('\x1f\x8b', 'latin1')];

/** A seed, as an image of a CD. */
export function writeSeed({ userData, networkConfig }: SeedContent, identity: SeedIdentity): Buffer {
  const files: IsoFile[] = [
    { name: META_DATA, content: Buffer.from(metaData(identity)) },
    { name: USER_DATA, content: userData },
  ];
  if (networkConfig !== undefined) files.push({ name: NETWORK_CONFIG, content: networkConfig });
  return writeIso(LABEL, files);
}

/**
 * The same seed for another guest, which then does anew what cloud-init does once for each.
 *
 * @returns undefined for an image that is no seed, or has more in it than we know.
 */
export function seedFor(image: Uint8Array, identity: SeedIdentity): Buffer | undefined {
  const files = readIso(image);
  const contentOf = (name: string): Uint8Array | undefined => files?.find((file) => file.name === name)?.content;
  const userData = contentOf(USER_DATA);
  if (files === undefined || userData === undefined) return undefined;
  const known = new Set([USER_DATA, META_DATA, NETWORK_CONFIG]);
  if (files.some(({ name }) => !known.has(name))) return undefined;
  return writeSeed({ userData, networkConfig: contentOf(NETWORK_CONFIG) }, identity);
}

/** Whether cloud-init would do something with user data: without one of its first lines it passes over all of it. */
export function isHeeded(userData: Uint8Array): boolean {
  const bytes = Buffer.from(userData.buffer, userData.byteOffset, userData.byteLength);
  const begins = bytes.toString('latin1', 0, 64);
  return (
    KNOWN_BEGINNINGS.some((each) => begins.startsWith(each)) ||
    /^(?:MIME-Version|From |Received):?/i.test(begins) ||
    KNOWN_BYTES.some((each) => bytes.subarray(0, each.length).equals(each))
  );
}

/** YAML, with texts as JSON has them. */
function metaData({ instanceId, vmName }: SeedIdentity): string {
  return `instance-id: ${JSON.stringify(instanceId)}\nlocal-hostname: ${JSON.stringify(hostName(vmName))}\n`;
}

function hostName(vmName: string): string {
  const made = vmName
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(0, HOST_NAME_LENGTH)
    .replaceAll(/^-+|-+$/g, '');
  return made === '' ? 'guest' : made;
}
