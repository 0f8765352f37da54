import { OurFile } from '../home/home-entry.ts';
import { MARK_FILES } from '../home/images/image-mark.ts';
import { VmFile } from '../home/vm-directory.ts';

/** What may lie in an image directory: Tart's files and ours. */
export const IMAGE_FILES: ReadonlySet<string> = new Set<string>([
  ...Object.values(VmFile),
  OurFile.origin,
  OurFile.formerOrigin,
  OurFile.marker,
  OurFile.lastUse,
  OurFile.bootOrder,
  ...Object.values(MARK_FILES),
]);

/** Those that commands read. Of marks it matters only that they are there. */
export const TO_BE_READ: ReadonlySet<string> = new Set([
  VmFile.config,
  VmFile.nvram,
  VmFile.disk,
  VmFile.manifest,
  OurFile.origin,
]);
