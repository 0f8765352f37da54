/** Numbers in [0, 1) that are the same in every run. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export function noise(size: number, seed = 1): Buffer {
  const random = randomFrom(seed);
  return Buffer.from(Uint8Array.from({ length: size }, () => Math.floor(random() * 256)));
}

const WORDS =
  'the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not what all were we when your can said there use an each which she do how their if'.split(
    ' ',
  );

/** Sentences of common words: matches are short, many, and reach far back. */
export function prose(size: number, seed = 1): Buffer {
  const random = randomFrom(seed);
  let text = '';
  while (text.length < size)
    text += `${WORDS[Math.floor(random() ** 2 * WORDS.length)]}${random() < 0.1 ? '.\n' : ' '}`;
  return Buffer.from(text.slice(0, size));
}

/** Records of a fixed size with counters and a few random fields: matches at offsets of 32, as in tables and code. */
function records(size: number, seed: number): Buffer {
  const random = randomFrom(seed);
  const bytes = Buffer.alloc(size, 'record\0\0');
  for (let at = 0; at + 32 <= size; at += 32) {
    bytes.writeUInt32LE(at, at + 8);
    if (random() < 0.3) bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), at + 16);
  }
  return bytes;
}

/** What a disk looks like: extents of prose, records, noise and zeros of any length, and things that occur again. */
export function diskData(size: number, seed = 1): Buffer {
  const random = randomFrom(seed);
  const disk = Buffer.alloc(size);
  for (let at = 0; at < size; ) {
    const length = Math.min(size - at, Math.floor(random() ** 3 * 150_000) + 1);
    const kind = random();
    if (kind < 0.3) disk.set(prose(length, at), at);
    else if (kind < 0.5) disk.set(records(length, at), at);
    else if (kind < 0.65) disk.set(noise(length, at), at);
    else if (kind < 0.8 && at > 0) disk.copyWithin(at, Math.floor(random() * at), at);
    at += length;
  }
  return disk;
}
