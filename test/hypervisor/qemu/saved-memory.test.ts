import { existsSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { Qmp } from '../../../src/hypervisor/qemu/qmp.ts';
import { saveMemory } from '../../../src/hypervisor/qemu/saved-memory.ts';
import { temporaryDirectory } from '../../support/directory.ts';

/** A QEMU that is asked to save its memory, over a socket. @param migrate what it answers when it is. */
async function qemuThat(directory: string, migrate: () => object): Promise<Qmp> {
  const server = createServer((socket) => {
    socket.on('data', (piece: Buffer) => {
      for (const line of piece.toString('utf8').trim().split('\n')) {
        const { execute, id } = JSON.parse(line) as { execute: string; id: number };
        if (execute === 'migrate') socket.write(`${JSON.stringify({ id, ...migrate() })}\n`);
        else socket.write(`${JSON.stringify({ id, return: { status: 'completed' } })}\n`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(`${directory}/qmp.sock`, resolve));
  const qmp = await Qmp.connect(`${directory}/qmp.sock`, () => undefined);
  onTestFinished(() => {
    qmp.close();
    server.close();
  });
  return qmp;
}

it('a memory that QEMU refuses to save leaves no one waiting, and the next try finds its socket free', async () => {
  const directory = temporaryDirectory();
  const [file, socket] = [`${directory}/memory`, { ours: `${directory}/memory.sock`, qemus: 'memory.sock' }];
  let refuses = true;
  const qmp = await qemuThat(directory, () => {
    if (refuses) return { error: { class: 'GenericError', desc: 'State blocked by a device' } };
    connect({ path: socket.ours }).end('all of it');
    return { return: {} };
  });
  await expect(saveMemory(qmp, file, socket)).rejects.toMatchObject({
    message: 'QEMU refuses: State blocked by a device',
  });
  expect(existsSync(socket.ours)).toBe(false);
  refuses = false;
  rmSync(file);
  await saveMemory(qmp, file, socket);
  expect(readFileSync(file, 'utf8')).toBe('all of it');
});
