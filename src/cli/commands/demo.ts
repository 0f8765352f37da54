import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { TartletError } from '../../errors.ts';
import { Home } from '../../home/home.ts';
import { LocalName } from '../../names/local-name.ts';
import { RemoteName } from '../../names/remote-name.ts';
import { createRegistry, type ListeningAddress, type Registry } from '../../server/server.ts';
import { pull } from '../../transfer/pull/pull.ts';
import { Session } from '../../session/session.ts';
import { cloneVm } from '../../vm/clone.ts';
import { createLinuxVm } from '../../vm/create.ts';
import { listVms } from '../../vm/listing.ts';
import { pushVm } from '../../vm/push.ts';
import { printableByLine } from '../terminal/printable.ts';
import { humanBytes } from '../render/quantity.ts';
import { userAgent } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** The port of the story: a Nexus on 8221 whose images did not show up (openai/tart#827). */
const PORT = 8221;
const DISK_BYTES = 1_000_000_000;
const PIECE = 256 * 1024;

/**
 * The main job, end to end, with real parts: a registry on a port, a push from one home, a pull into another, the name
 * that was typed in the list, and a clone that is the original byte for byte. Leaves nothing behind.
 */
export async function runDemo(terminal: Terminal): Promise<number> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'tartlet-demo-'));
  const say = (text: string): void => void terminal.stdout.write(printableByLine(`${text}\n`));
  let registry: Registry | undefined;
  try {
    const started = await startRegistry(`${directory}/registry`);
    registry = started.registry;
    const { address, port } = started.listening;
    say(`1. a registry listens on ${address}:${port}`);
    const name = RemoteName.parse(`127.0.0.1:${port}/demo/vm:1.0`);
    await publish(session(terminal, `${directory}/home-a`), name, say);
    await use(session(terminal, `${directory}/home-b`), name, `${directory}/home-a/vms/original`, say);
    say('done: every byte is the same, and the name you typed is the name you see');
    return 0;
  } finally {
    await registry?.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function startRegistry(dataDirectory: string): Promise<{ registry: Registry; listening: ListeningAddress }> {
  const preferred = createRegistry({ dataDirectory, listen: { host: '127.0.0.1', port: PORT } });
  try {
    return { registry: preferred, listening: await preferred.listen() };
  } catch {
    await preferred.close(); // Port 8221 is taken: any free port will do.
    const other = createRegistry({ dataDirectory, listen: { host: '127.0.0.1', port: 0 } });
    return { registry: other, listening: await other.listen() };
  }
}

function session(terminal: Terminal, root: string): Session {
  return new Session({
    home: new Home(root),
    platform: terminal.platform,
    signal: terminal.signal,
    userAgent: userAgent(terminal),
  });
}

async function publish(home: Session, name: RemoteName, say: (text: string) => void): Promise<void> {
  const original = LocalName.parse('original');
  await createLinuxVm(home, original, { diskBytes: DISK_BYTES, arch: 'arm64' });
  await fillDisk(`${home.vms.pathOf(original)}/disk.img`);
  say(`2. a VM with a ${humanBytes(DISK_BYTES)} disk was created`);
  const [pushed] = await pushVm(home, original.text, [name], {});
  if (pushed === undefined) throw new TartletError('INTERNAL', 'the push ended without a result');
  say(`3. pushed as ${name.toString()} (${humanBytes(pushed.uploadedBytes)} sent)`);
}

async function use(home: Session, name: RemoteName, original: string, say: (text: string) => void): Promise<void> {
  const pulled = await pull(home, name);
  say(`4. pulled into a fresh home (${humanBytes(pulled.fetchedBytes)} fetched, every digest checked)`);
  const listed = (await listVms(home)).map((row) => row.name);
  if (!listed.includes(name.toString()))
    throw new TartletError('INTERNAL', `the list does not show ${name.toString()}`);
  say(`5. listed: ${listed.join('\n           ')}`);
  const again = await pull(home, name);
  if (again.status !== 'present') throw new TartletError('INTERNAL', 'a second pull was not free');
  const copy = LocalName.parse('copy');
  await cloneVm(home, name.toString(), copy, {});
  for (const file of ['config.json', 'nvram.bin', 'disk.img'])
    await requireEqual(`${original}/${file}`, `${home.vms.pathOf(copy)}/${file}`);
  say('6. cloned without network, and compared with the original');
}

/** Something like a disk in use: text that compresses, noise that does not, and mostly nothing. */
async function fillDisk(disk: string): Promise<void> {
  const handle = await open(disk, 'r+');
  try {
    const text = Buffer.alloc(PIECE, 'The name you typed is the name you see. ');
    const noise = randomBytes(PIECE);
    for (let piece = 0; piece < 96; piece += 1) {
      const at = piece * PIECE * 7;
      await handle.write(piece % 3 === 0 ? noise : text, 0, PIECE, at);
    }
  } finally {
    await handle.close();
  }
}

async function requireEqual(a: string, b: string): Promise<void> {
  if (!(await sameBytes(a, b))) throw new TartletError('INTERNAL', `${b} differs from ${a}`);
}

async function sameBytes(a: string, b: string): Promise<boolean> {
  const [left, right] = [await open(a, 'r'), await open(b, 'r')];
  try {
    const [x, y] = [Buffer.alloc(PIECE), Buffer.alloc(PIECE)];
    for (let at = 0; ; ) {
      const [read, other] = [await left.read(x, 0, PIECE, at), await right.read(y, 0, PIECE, at)];
      if (read.bytesRead !== other.bytesRead) return false;
      if (read.bytesRead === 0) return true;
      if (!x.subarray(0, read.bytesRead).equals(y.subarray(0, read.bytesRead))) return false;
      at += read.bytesRead;
    }
  } finally {
    await left.close();
    await right.close();
  }
}
