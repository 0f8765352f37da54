import { chmodSync, lchownSync, readFileSync, renameSync, symlinkSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { LocalName } from '../../src/names/local-name.ts';
import { takeVm } from '../../src/run/take-vm.ts';
import { leaveOut } from '../support/left-out.ts';
import { freshSession, plantVm } from '../support/home.ts';
import { runVm } from '../support/running-vm.ts';

it('a VM that would run with the address of one that runs gets another, and keeps its own beside one that does not', async () => {
  const notes: string[] = [];
  const session = freshSession({
    onEvent: (event) => {
      if (event.kind === 'note') notes.push(event.text);
    },
  });
  for (const name of ['one', 'two']) plantVm(`${session.home.vmsDirectory}/${name}`);
  const take = async (): Promise<string> => {
    const { config, lock } = await takeVm(session, LocalName.parse('two'));
    onTestFinished(async () => lock.release());
    await lock.release();
    return config.mac.toString();
  };
  expect(await take()).toBe('7e:12:34:56:78:9a');
  await runVm(`${session.home.vmsDirectory}/one`);
  const mac = await take();
  expect(mac).not.toBe('7e:12:34:56:78:9a');
  expect(readFileSync(`${session.home.vmsDirectory}/two/config.json`, 'utf8')).toContain(mac);
  expect(notes).toEqual([`two gets another MAC address, ${mac}: a VM that runs has the one that it had until now`]);
  // It has its own from then on.
  expect(await take()).toBe(mac);
});

it('a symlink that another user put in the place of the disk is not followed: QEMU would write there (S60)', async (context) => {
  leaveOut(context, process.geteuid?.() !== 0 || process.platform !== 'linux', 'only root of Linux can be other users');
  const session = freshSession();
  const directory = `${session.home.vmsDirectory}/one`;
  plantVm(directory);
  const [disk, elsewhere] = [`${directory}/disk.img`, `${session.home.root}/elsewhere.img`];
  renameSync(disk, elsewhere);
  symlinkSync(elsewhere, disk);
  // One's own leads to a disk with more room.
  await (await takeVm(session, LocalName.parse('one'))).lock.release();
  chmodSync(directory, 0o2775);
  lchownSync(disk, 5002, 5002);
  await expect(takeVm(session, LocalName.parse('one'))).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
});
