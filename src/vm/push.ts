import { TartletError } from '../errors.ts';
import { VmFile } from '../home/vm-folder.ts';
import { LocalName } from '../names/local-name.ts';
import { RemoteName } from '../names/remote-name.ts';
import {
  type PushOptions,
  type PushOutcome,
  type PushSource,
  pushToRepository,
  readSmallFile,
} from '../transfer/push.ts';
import type { Session } from '../transfer/session.ts';
import { parseVmConfig } from './config-file.ts';

/**
 * Uploads a local VM under one or more names; names of one repository share one upload. While it lasts the VM counts as
 * running, so that nobody starts or deletes it (tart-cli §4.3).
 *
 * @returns one outcome per repository, in the order of the names.
 * @throws TartletError `VM_NOT_FOUND`, `BUSY` when the VM runs or is being pushed, and those of {@link pushToRepository}.
 */
export async function pushVm(
  session: Session,
  sourceText: string,
  names: readonly [RemoteName, ...RemoteName[]],
  options: PushOptions,
): Promise<PushOutcome[]> {
  if (RemoteName.looksRemote(sourceText)) {
    throw new TartletError('NOT_YET', 'pushing a cached image again is not there yet', {
      subject: sourceText,
      next: 'clone it and push the clone, or copy it with skopeo copy',
    });
  }
  const name = LocalName.parse(sourceText);
  const vm = await session.vms.require(name);
  const lock = await session.vms.hold(vm);
  try {
    await session.vms.touch(vm, session.now());
    const source = await openSource(vm.folder.path, vm.folder.layout, name);
    const outcomes: PushOutcome[] = [];
    for (const group of byRepository(names)) outcomes.push(await pushToRepository(session, source, group, options));
    return outcomes;
  } finally {
    await lock.release();
  }
}

async function openSource(folder: string, layout: string, name: LocalName): Promise<PushSource> {
  if (layout !== 'standalone') {
    throw new TartletError('NEEDS_MACOS', `"${name.text}" is a stacked VM: only macOS 27 can read its disk`, {
      subject: name.text,
    });
  }
  // The very bytes of the file: a clone of the pulled image is then the same to the last byte, unknown keys included.
  const bytes = await readSmallFile(`${folder}/${VmFile.config}`);
  const { os, arch, diskFormat } = parseVmConfig(bytes, name.text);
  return { folder, vm: { os, arch, diskFormat }, config: bytes };
}

function byRepository(names: readonly [RemoteName, ...RemoteName[]]): (readonly [RemoteName, ...RemoteName[]])[] {
  const groups = new Map<string, [RemoteName, ...RemoteName[]]>();
  for (const name of names) {
    const group = groups.get(name.repositoryName);
    if (group === undefined) groups.set(name.repositoryName, [name]);
    else group.push(name);
  }
  return [...groups.values()];
}
