/**
 * The ten bugs that matter most (reliability §4.9), those of removals, and those of the site cache, for
 * planted-bugs.mjs. `edit` replaces a text, which must be there exactly once, by another; `gate` is the test file that
 * must turn red, `only` the titles in it.
 */
export const BUGS = [
  {
    bug: 'a file is published without having been fsynced',
    file: 'src/fs/fsync.ts',
    edit: ["'write');\n    try {\n      await handle.sync();", "'write');\n    try {\n      await handle.stat();"],
    gate: 'test/crash/order.test.ts',
    only: 'pull',
  },
  {
    bug: 'a record is written in its place',
    file: 'src/fs/replace-file.ts',
    edit: [
      "const file = await step(open(temporary, 'wx', mode));",
      "await open(target, 'w', mode).then(async (inPlace) => {\n    await write(inPlace);\n    await inPlace.close();\n  });\n  const file = await step(open(temporary, 'wx', mode));",
    ],
    gate: 'test/crash/order.test.ts',
    only: 'login',
  },
  {
    bug: 'an image is published before its chunks are there',
    file: 'src/transfer/pull/fetch-image.ts',
    edit: [
      'const transferred = await downloadFlat(session, image, prepared, staging);\n    await publish(session, target, staging, { prepared, transferred });',
      'await publish(session, target, staging, { prepared, transferred: { fetchedBytes: 0, peerBytes: 0 } });\n    const transferred = await downloadFlat(session, image, prepared, staging);',
    ],
    gate: 'test/transfer/pull/pull.test.ts',
  },
  {
    bug: 'a short write is taken for a whole one',
    file: 'src/chunks/disk-window.ts',
    edit: ['done += this.#guard(', 'done += piece.length + 0 * this.#guard('],
    gate: 'test/chunks/disk-window.test.ts',
  },
  {
    bug: 'a 206 is believed whatever its Content-Range says',
    file: 'src/registry/blobs/blob-opening.ts',
    edit: ['range.start === from &&', '(range.start === from || range.start >= 0) &&'],
    gate: 'test/registry/blobs/blob.test.ts',
  },
  {
    bug: 'every realm gets the password',
    file: 'src/registry/auth/realm.ts',
    edit: ['return { url, trusted };', 'return { url, trusted: trusted || url.host !== "" };'],
    gate: 'test/registry/auth/authentication.test.ts',
  },
  {
    bug: 'a redirect keeps the Authorization header',
    file: 'src/registry/redirect.ts',
    edit: [
      'headers: crossOrigin ? harmless(current.headers)',
      'headers: crossOrigin ? { ...harmless(current.headers), ...current.headers }',
    ],
    gate: 'test/registry/secrets.test.ts',
  },
  {
    bug: 'a scratch directory is made before it is locked',
    file: 'src/home/scratch.ts',
    edit: [
      "      const lock = await FileLock.acquire(lockFile, { mode: 'exclusive', wait: false });\n      if (lock === undefined) continue; // Another process has the same name, against all odds.\n      const locks = [lock];\n      try {\n        const directory = `${parent}/${name}`;\n        await onDisk('create', directory, async () => makeDirectory(directory));\n",
      "      const directory = `${parent}/${name}`;\n      await onDisk('create', directory, async () => makeDirectory(directory));\n      const lock = await FileLock.acquire(lockFile, { mode: 'exclusive', wait: false });\n      if (lock === undefined) continue;\n      const locks = [lock];\n      try {\n",
    ],
    gate: 'test/crash/locks.test.ts',
  },
  {
    bug: 'a directory is deleted in its place, and not renamed away first',
    file: 'src/fs/publish.ts',
    edit: [
      "    await onDisk('remove', directory, async () => moveEntry(directory, doomed));\n",
      "    await onDisk('remove', directory, async () => removeEntry(directory));\n",
    ],
    gate: 'test/fs/remove-directory.test.ts',
  },
  {
    bug: 'the verdict about a blob is not asked for at its end',
    file: 'src/chunks/chunk-fetch.ts',
    edit: ['    verifier?.verdict();\n', ''],
    gate: 'test/transfer/pull/pull.test.ts',
  },
  {
    bug: 'a directory is deleted in its place, as the calls of the system tell',
    file: 'src/fs/publish.ts',
    edit: [
      "    await onDisk('remove', directory, async () => moveEntry(directory, doomed));\n",
      "    await onDisk('remove', directory, async () => removeEntry(directory));\n",
    ],
    gate: 'test/crash/removals.test.ts',
    only: 'delete of a VM',
  },
  {
    bug: 'an image goes before its tags',
    file: 'src/home/images/image-removal.ts',
    edit: [
      '    for (const { link, text } of links) await removeLink(link, text, this.#home.stagingDirectory);\n',
      '    await removeDirectory(directory, this.#home.stagingDirectory);\n    for (const { link, text } of links) await removeLink(link, text, this.#home.stagingDirectory);\n',
    ],
    gate: 'test/crash/removals.test.ts',
    only: 'delete of a tag',
  },
  {
    bug: 'the removal of a tag is not fsynced before its image goes',
    file: 'src/home/link.ts',
    edit: ['  await fsyncRemoval(path.dirname(link));\n  return found === text;', '  return found === text;'],
    gate: 'test/crash/removals.test.ts',
    only: 'delete of a tag',
  },
  {
    bug: 'the last byte of a blob is given before its digest is known',
    file: 'src/mirror/blobs/flight.ts',
    edit: ['Math.min(this.there, this.size - 1)', 'this.there'],
    gate: 'test/mirror/blobs/wrong-bytes.test.ts',
  },
  {
    bug: 'a blob of an upstream is stored whatever its digest is',
    file: 'src/mirror/blobs/flight.ts',
    edit: ['      this.#verifier.verdict();\n', ''],
    gate: 'test/mirror/blobs/wrong-bytes.test.ts',
  },
  {
    bug: 'each client of a site cache has a flight of its own',
    file: 'src/mirror/blobs/blob-cache.ts',
    edit: ['if (there !== undefined) return there;', 'if (there?.size === -1) return there;'],
    gate: 'test/mirror/blobs/single-flight.test.ts',
  },
  {
    bug: 'a piece of a disk is handed out whatever its digest is',
    file: 'src/chunks/piece-read.ts',
    edit: ['  if (!found.equals(piece.contentDigest)) {\n', "  if (found.hex === '') {\n"],
    gate: 'test/chunks/pieces.test.ts',
  },
  {
    bug: 'blobs without pieces are used again for an image that is pushed in pieces',
    file: 'src/transfer/push/vm-upload.ts',
    edit: ['this.#options.pieces === true ? await onlyInPieces(this.#client, found, signal) : found', 'found'],
    gate: 'test/transfer/push/pieces.test.ts',
  },
  {
    bug: 'the index of tags is believed whatever else writes to the directory',
    file: 'src/server/store/repository-indexes.ts',
    edit: ["tags.stamp === (await directory.stamp('_tags'))", "(await directory.stamp('_tags')) !== ''"],
    gate: 'test/server/store/scale.test.ts',
  },
];
