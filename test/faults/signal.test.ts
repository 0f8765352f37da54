import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { expect } from 'vitest';
import { COMMAND, type Ran, Running } from '../support/real-command.ts';
import { eventually } from '../support/real-process.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { atFirst, blobRoute } from '../support/scripted-image.ts';
import type { Handler, Script, ScriptedRegistry } from '../support/scripted-registry.ts';
import { sha256, storedStream, tinyImage } from '../support/tart-image.ts';
import { row } from './row.ts';
import { REPOSITORY, type World } from './world.ts';

const CHUNK = Buffer.alloc(300_000, 'what a disk may hold. ');
const IMAGE = tinyImage({ chunks: [Buffer.alloc(4096, 'x'), CHUNK] });
const CHUNK_ROUTE = blobRoute(REPOSITORY, sha256(storedStream(CHUNK)));
/** No answer, not even a status. */
const NEVER: Handler = async () => new Promise<never>(() => {});
const SESSION = `/v2/${REPOSITORY}/blobs/uploads/1`;

/** A pull that waits for its second chunk until it is released. */
async function hangingPull(
  world: World,
  start = (name: string) => world.workplace.start('pull', '--concurrency', '1', name),
) {
  const registry = await world.serve(IMAGE);
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  world.after(release);
  registry.on(CHUNK_ROUTE, async (request, count) => {
    await released;
    return atFirst(storedStream(CHUNK))(request, count);
  });
  const name = `127.0.0.1:${registry.port}/${REPOSITORY}:latest`;
  const command = start(name);
  await eventually('the pull waits', () => registry.log.includes(CHUNK_ROUTE));
  return { name, command, release };
}

/** A push whose first blob gets no answer. `cancelled`: what the registry says to the end of the session. */
async function hangingPush(world: World, cancelled: Script) {
  const registry = await world.registry({
    '*': { status: 404 },
    [`POST /v2/${REPOSITORY}/blobs/uploads/`]: { status: 202, headers: { location: SESSION } },
    [`PUT ${SESSION}`]: NEVER,
    [`DELETE ${SESSION}`]: cancelled,
  });
  const command = world.workplace.start('push', 'mine', `127.0.0.1:${registry.port}/${REPOSITORY}:new`);
  await eventually('the push hangs', () => asked(registry, 'PUT'));
  return { registry, command };
}

function asked({ requests }: ScriptedRegistry, method: string): boolean {
  return requests.some((request) => request.method === method);
}

async function ended(world: World, command: Running): Promise<Ran> {
  return world.heard(await command.ended);
}

row('P7', 'SIGINT ends a pull cleanly, keeps what was verified, and says how to go on', async (world) => {
  const { name, command, release } = await hangingPull(world);
  command.kill('SIGINT');
  const { exitCode, stdout, stderr } = await ended(world, command);
  expect({ exitCode, stdout }).toEqual({ exitCode: 130, stdout: '' });
  expect(stderr).toMatch(/^error\[INTERRUPTED\]: interrupted by SIGINT\.$/m);
  expect(stderr).toMatch(/^kept: 1 of 2 chunks are verified and kept/m);
  expect(stderr).toMatch(/^next: run the same command again to continue$/m);
  release();
  expect(await world.run('pull', name)).toMatchObject({ exitCode: 0 });
});

row('P7', 'SIGINT ends a push cleanly, and tells the registry that nothing more comes', async (world) => {
  const { registry, command } = await hangingPush(world, { status: 204 });
  command.kill('SIGINT');
  const { exitCode, stderr } = await ended(world, command);
  expect(exitCode).toBe(130);
  expect(stderr).toContain('error[INTERRUPTED]: interrupted by SIGINT.\n');
  expect(registry.log).toContain(`DELETE ${SESSION}`);
});

row('P8', 'a second SIGINT ends at once, whatever the first is still waiting for', async (world) => {
  const { registry, command } = await hangingPush(world, NEVER);
  command.kill('SIGINT');
  await eventually('the push tells the registry', () => asked(registry, 'DELETE'));
  command.kill('SIGINT');
  // Without a word: what the first would have said is not known yet.
  expect(await command.ended).toEqual({ exitCode: 130, stdout: '', stderr: '' });
});

row('P8', 'SIGTERM is taken as SIGINT is, with its own exit code', async (world) => {
  const { command } = await hangingPull(world);
  command.kill('SIGTERM');
  const { exitCode, stderr } = await ended(world, command);
  expect(exitCode).toBe(143);
  expect(stderr).toContain('error[INTERRUPTED]: interrupted by SIGTERM.\n');
});

row('P8', 'SIGHUP means nothing to who has no terminal, as under nohup', async (world) => {
  const { command, release } = await hangingPull(world);
  command.kill('SIGHUP');
  release();
  expect(await ended(world, command)).toMatchObject({ exitCode: 0 });
});

row('P8', 'SIGHUP ends a command whose terminal goes away', async (world) => {
  const pull = (name: string) => `echo $$; exec ${process.execPath} ${COMMAND} pull --concurrency 1 ${name}`;
  // `script` gives it a terminal; its number is the first thing that this shows.
  const start = (name: string) => new Running('script', ['-qec', pull(name), '/dev/null'], world.workplace.environment);
  const { command } = await hangingPull(world, start);
  process.kill(Number.parseInt(command.stdout, 10), 'SIGHUP');
  const { exitCode, stdout } = await command.ended;
  expect(exitCode).toBe(129);
  expect(stdout).toContain('error[INTERRUPTED]: interrupted by SIGHUP.');
});

row('P9', 'a pull whose stderr is not read goes on to its end', async (world) => {
  const registry = await world.serve(IMAGE);
  const name = `127.0.0.1:${registry.port}/${REPOSITORY}:latest`;
  const ran = await world.workplace.shell(`$TARTLET pull ${name} 2>&1 >/dev/null | true; echo "$PIPESTATUS"`);
  expect(ran).toEqual({ exitCode: 0, stdout: '0\n', stderr: '' });
  expect(await world.workplace.names()).toContain(name);
});

row('P9', 'a reader that has seen enough is no failure', async (world) => {
  const ran = await world.workplace.shell('$TARTLET list | head -c 1; echo " $PIPESTATUS"');
  expect(ran).toEqual({ exitCode: 0, stdout: 'S 0\n', stderr: '' });
});

row('P9', 'a command that still works for a reader that is gone stops cleanly', async (world) => {
  const ran = await world.workplace.shell('TMPDIR=$HOME $TARTLET demo | head -c 1; echo " $PIPESTATUS"; ls "$HOME"');
  expect(ran.stdout).toBe('1 141\noutside.txt\n');
  expect(ran.stderr).toContain('error[INTERRUPTED]: nothing reads the output any more.\n');
});

row('P9', 'an output that its disk does not take is a failure', async (world) => {
  for (const command of ['list', 'list --format json', '--help', '--version']) {
    const { exitCode, stderr } = await world.workplace.shell(`$TARTLET ${command} >/dev/full`);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: expect.stringMatching(
        /^error\[DISK_FULL\]: cannot write to stdout: no space left on the device\.\nnext: .+\n$/,
      ) as string,
    });
  }
});

row(
  'P9',
  'a full pipe does not hold the command: one SIGINT ends a command that only waits for its reader',
  async (world) => {
    const path = `${world.directory}/run/pipe`;
    execFileSync('mkfifo', [path]);
    // The output is not read, and there is no room left.
    const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    world.after(() => closeSync(pipe));
    expect(() => {
      for (;;) writeSync(pipe, Buffer.alloc(4096));
    }).toThrow('EAGAIN');
    const child = spawn(process.execPath, [COMMAND, 'list'], {
      env: world.workplace.environment,
      stdio: ['ignore', pipe, 'inherit'],
    });
    await eventually('it waits until it may write', () => waitsFor(child.pid, 1));
    child.kill('SIGINT');
    const [exitCode] = (await once(child, 'exit')) as [number | null];
    expect(exitCode).toBe(130);
  },
);

/** Whether a process sleeps until a descriptor is ready, as the kernel sees it. */
function waitsFor(pid: number | undefined, descriptor: number): boolean {
  const directory = `/proc/${pid}/fdinfo`;
  const entry = new RegExp(`^tfd: +${descriptor} `, 'm');
  return readdirSync(directory).some((file) => {
    try {
      return entry.test(readFileSync(`${directory}/${file}`, 'utf8'));
    } catch {
      return false; // Closed since the directory was listed.
    }
  });
}

row('P11', 'an unexpected exception is one line, and no success', async (world) => {
  const faults = {
    'in a timer': `setTimeout(() => { throw new TypeError('the planted fault'); }, 1)`,
    'in a promise': `setTimeout(() => void Promise.reject(new TypeError('the planted fault')), 1)`,
    'in an event handler': `process.once('newListener', () => setImmediate(() => process.emit('planted')));
      process.on('planted', () => { throw new TypeError('the planted fault'); })`,
  };
  for (const [where, fault] of Object.entries(faults)) {
    // The command that nothing else ends, so that the fault is met by it and by no command before.
    const serve = [COMMAND, 'serve', '--listen', '127.0.0.1:0', '--data', temporaryDirectory()];
    const planted = `data:text/javascript,const once = setInterval(() => {
      if (process.listenerCount('uncaughtException') === 0) return;
      clearInterval(once); ${fault} }, 1)`;
    const ran = await new Running(process.execPath, ['--import', planted, ...serve], world.workplace.environment).ended;
    expect(ran.exitCode, where).toBe(1);
    expect(ran.stderr.replace(/^serving .*\n/, ''), where).toBe(
      'error[INTERNAL]: unexpected: the planted fault.\n' +
        'next: this is a defect of Tartlet: report it with the output that TARTLET_DEBUG=1 gives\n',
    );
  }
});

row('P12', 'a pull whose parent dies goes on to its end', async (world) => {
  const { name, command, release } = await hangingPull(
    world,
    (image) =>
      new Running(
        'bash',
        ['-c', `${process.execPath} ${COMMAND} pull --concurrency 1 ${image} & wait`],
        world.workplace.environment,
      ),
  );
  command.kill('SIGKILL');
  await once(command.child, 'exit');
  release();
  // Both streams are closed when the pull has ended.
  await command.ended;
  expect(await world.workplace.names()).toContain(name);
});
