import { lstatIfThere } from '../fs/stats.ts';
import { SEED } from '../home/home-entry.ts';

/** Whether there is something for cloud-init: the guest gets it as long as it is there. What is no file is none, since a link could lead to any. */
export async function hasSeed(directory: string): Promise<boolean> {
  return (await lstatIfThere(`${directory}/${SEED}`))?.isFile() === true;
}
