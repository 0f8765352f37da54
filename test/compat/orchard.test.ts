import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../support/real-cleanup.ts';
import { startRealRegistry } from '../support/real-registry.ts';
import { createVm } from '../support/real-vm.ts';
import { runVm } from '../support/running-vm.ts';
import { TartInPath } from '../support/tart-in-path.ts';

/*
 * What Orchard's worker calls (tart-cli §5.1), word for word. Its cancellation is a SIGKILL:
 * test/real/interruption.test.ts.
 */

const cleanup = new Cleanup();
afterAll(async () => cleanup.run());

const ID = 'orchard-macos-5b8fd1a4-6c1c-4d2b-9a3e-2f0d4c9d7e11-0';

describe("Orchard's worker", () => {
  let worker: TartInPath;
  let image: string;

  beforeAll(async () => {
    const { port } = await startRealRegistry(cleanup, 'embedded');
    image = `127.0.0.1:${port}/team/base:latest`;
    const publisher = new TartInPath(cleanup);
    await createVm(publisher, 'base', 2);
    await publisher.succeed('push', 'base', image);
    worker = new TartInPath(cleanup);
  });

  /** What its code reads of a row. */
  async function rowOf(name: string): Promise<unknown> {
    const row = (await worker.rows()).find((each) => each['name'] === name);
    return row && { name: row['name'], source: row['source'], state: row['state'], running: row['running'] };
  }

  it('finds an empty list in a fresh home', async () => {
    expect(await worker.rows()).toEqual([]);
  });

  it('pulls, clones, and reports the image by its digest', async () => {
    expect(await worker.succeed('pull', image)).toBe('');
    expect(await worker.succeed('clone', image, ID)).toBe('');
    expect(await worker.succeed('fqn', image)).toMatch(/^127\.0\.0\.1:\d+\/team\/base@sha256:[0-9a-f]{64}\n$/);
    expect(await rowOf(ID)).toEqual({ name: ID, source: 'local', state: 'stopped', running: false });
    expect((await worker.rows()).map((row) => row['source'])).toEqual(['local', 'OCI', 'OCI']);
  });

  it('configures the VM', async () => {
    for (const words of [
      ['set', '--memory', '8192', ID],
      ['set', '--cpu', '6', ID],
      ['set', '--disk-size', '3', ID],
      ['set', '--random-mac', ID],
      ['set', '--random-serial', ID],
    ]) {
      expect(await worker.tart(...words)).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    }
    expect(JSON.parse(await worker.succeed('get', '--format', 'json', ID))).toMatchObject({
      Memory: 8192,
      CPU: 6,
      Disk: 3,
    });
  });

  it('is told at once that isolation by Softnet is not there', async () => {
    const { exitCode, stdout, stderr } = await worker.tart(
      'run',
      '--net-softnet',
      '--net-softnet-allow',
      '10.0.0.0/8,192.168.0.0/16',
      '--no-graphics',
      '--nested',
      ID,
    );
    expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: '' });
    // The line that Orchard shows as the reason.
    expect(stderr.split('\n')[0]).toBe('error[USAGE]: Softnet isolates guests on macOS only.');
  });

  it.each([
    [['ip', '--wait', '1', '--resolver', 'agent', ID]],
    [['ip', '--wait', '1', '--resolver', 'arp', ID]],
    [['ip', '--wait', '1', ID]],
  ])('%j of a VM that does not run says so', async (words) => {
    const { exitCode, stdout, stderr } = await worker.tart(...words);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toBe(
      `error[GUEST_UNREACHABLE]: the VM "${ID}" has no address: it does not run.\nnext: start it: tart run ${ID}\n`,
    );
  });

  it('sees a suspended VM as such', async () => {
    writeFileSync(`${worker.vmDirectory(ID)}/state.vzvmsave`, 'memory');
    expect(await rowOf(ID)).toEqual({ name: ID, source: 'local', state: 'suspended', running: false });
    expect(await worker.succeed('stop', '--timeout', '5', ID)).toBe('');
    expect(await rowOf(ID)).toMatchObject({ state: 'stopped' });
  });

  it.runIf(process.platform === 'linux')('stops an orphan that runs, and deletes it at once', async () => {
    const vm = await runVm(worker.vmDirectory(ID));
    expect(await rowOf(ID)).toEqual({ name: ID, source: 'local', state: 'running', running: true });
    expect(await worker.succeed('stop', ID)).toBe('');
    expect(await vm.ended).toBe(0);
    expect(await worker.tart('stop', '--timeout', '5', ID)).toMatchObject({ exitCode: 2, stdout: '' });
    expect(await worker.tart('suspend', ID)).toMatchObject({ exitCode: 2, stdout: '' });
    expect(await worker.succeed('delete', ID)).toBe('');
    expect(await rowOf(ID)).toBeUndefined();
  });
});
