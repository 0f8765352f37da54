import { LocalName } from '../names/local-name.ts';
import { RegistryAddress } from '../names/registry-address.ts';
import { RemoteName } from '../names/remote-name.ts';

/** An image of a registry: `registry.example:8221/macos/base:15`, or parsed already. */
export type ImageName = string | RemoteName;

/** A VM of this machine: `ci`, or parsed already. */
export type VmName = string | LocalName;

/** A registry: `registry.example:8221`, or parsed already. */
export type RegistryName = string | RegistryAddress;

/** @throws TartletError `NAME_MALFORMED` */
export function imageName(name: ImageName): RemoteName {
  return typeof name === 'string' ? RemoteName.parse(name) : name;
}

/**
 * Of a VM that is there: names that Tart would refuse for a new one are taken. @throws TartletError `NAME_MALFORMED`
 */
export function vmName(name: VmName): LocalName {
  return typeof name === 'string' ? LocalName.ofExisting(name) : name;
}

/** Of a VM that is to be made. @throws TartletError `NAME_MALFORMED` */
export function newVmName(name: VmName): LocalName {
  return LocalName.parse(typeof name === 'string' ? name : name.text);
}

/** @throws TartletError `NAME_MALFORMED` */
export function registryName(name: RegistryName): RegistryAddress {
  return typeof name === 'string' ? RegistryAddress.parse(name) : name;
}

/** As the functions take it that know both images and VMs by their text. */
export function nameText(name: ImageName | VmName): string {
  if (typeof name === 'string') return name;
  return name instanceof LocalName ? name.text : name.toString();
}

/** An image where the text has a registry, else a VM of this machine, as the command understands it. */
export function anyName(name: ImageName | VmName): LocalName | RemoteName {
  if (typeof name !== 'string') return name;
  return RemoteName.looksRemote(name) ? RemoteName.parse(name) : LocalName.ofExisting(name);
}
