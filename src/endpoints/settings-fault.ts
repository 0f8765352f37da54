import { TartletError } from '../errors.ts';

/** What is wrong with a file that says where images come from. Nothing is pulled as long as it is. */
export function wrongSettings(file: string, why: string, cause?: unknown): TartletError {
  return new TartletError('CONFIG_INVALID', `${file} cannot be used: ${why}`, {
    subject: file,
    next: { kind: 'correct-mirror-file', file },
    cause,
  });
}
