import { writeNewFile } from '../../fs/fsync.ts';
import { readBootOrder } from '../../home/boot-order-file.ts';
import { OurFile } from '../../home/home-entry.ts';
import { TO_READ, whileHeld } from '../../home/images/image-lock.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { type BootOrder, formatBootOrder } from '../../oci/boot-order.ts';
import type { Session } from '../../session/session.ts';

/**
 * Keeps what a guest touched beside an image that is whole, for others and to be published. Of two records of an image
 * the one stays that knows more of it: a run that had the whole image early saw little of its start.
 *
 * It is a hint: what goes wrong with it is no reason to fail, and is not told.
 *
 * @param name of the image, with its digest. @param diskBytes of its disk.
 */
export async function keepBootOrder(
  { images, signal }: Session,
  name: RemoteName,
  order: BootOrder,
  diskBytes: number,
): Promise<void> {
  try {
    const { digest } = await images.require(name, 'read');
    // Alone: two VMs of one image may come here at once.
    const alone = { ...TO_READ, mode: 'exclusive', signal } as const;
    await whileHeld(
      images,
      digest,
      alone,
      async () => images.require(name, 'read'),
      async ({ directory }) => {
        const file = `${directory.path}/${OurFile.bootOrder}`;
        const known = await readBootOrder(file, diskBytes);
        if ((known?.length ?? 0) >= order.length) return;
        // In place: half of one, after a kill, is none, and nothing lies about.
        await writeNewFile(file, formatBootOrder(order));
      },
    );
  } catch {
    // The image has none then, or another one.
  }
}
