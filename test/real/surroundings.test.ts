import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { needsOwnMounts } from '../support/own-mounts.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, Workplace } from '../support/real-command.ts';
import { partPath } from '../support/real-parts.ts';
import type { RealRegistry } from '../support/real-registry.ts';
import { startSeededRegistry } from '../support/real-seed.ts';
import { createVm } from '../support/real-vm.ts';

/** No user of this number, so that no home directory is known for it either. */
const STRANGER = '12345';

describe('odd surroundings', () => {
  const cleanup = new Cleanup();
  let registry: RealRegistry;
  let sender: Workplace;
  let name: string;

  beforeAll(async () => {
    ({ registry, sender, name } = await startSeededRegistry(cleanup));
  });
  afterAll(async () => cleanup.run());

  describe('a user whom the system does not know, without HOME (D31)', () => {
    /** As in a container with `runAsUser`: a number, and no variables but these. */
    async function asStranger(workplace: Workplace, script: string): Promise<Ran> {
      const user = [`--map-user=${STRANGER}`, `--map-group=${STRANGER}`];
      return workplace.shell(`unset HOME DOCKER_CONFIG XDG_CONFIG_HOME; ${script}`, [
        partPath('unshare'),
        '-U',
        ...user,
      ]);
    }

    it('with TART_HOME everything works, a pull without any login too', async (context) => {
      needsOwnMounts(context);
      const { exitCode, stdout, stderr } = await asStranger(
        new Workplace(cleanup),
        `$TARTLET --help | head -1; $TARTLET pull ${name} && $TARTLET clone ${name} copy && $TARTLET list -q | head -1`,
      );
      expect({ exitCode, stdout }, stderr).toMatchObject({ exitCode: 0 });
      expect(stdout).toMatch(/^Usage: .*\ncopy\n$/);
    });

    it('without TART_HOME it says what to set, and the help works', async (context) => {
      needsOwnMounts(context);
      const { stdout, stderr } = await asStranger(
        new Workplace(cleanup),
        `unset TART_HOME; $TARTLET list; echo "exit $?"; $TARTLET --help >/dev/null; echo "exit $?"`,
      );
      expect(stdout, stderr).toBe('exit 1\nexit 0\n');
      expect(stderr).toBe(
        'error[CONFIG_INVALID]: there is no place for images and VMs: this user has no home directory.\n' +
          'next: set TART_HOME to the absolute path of a directory\n',
      );
    });

    it('a login without a place for it says what to set', async (context) => {
      needsOwnMounts(context);
      const { stdout, stderr } = await asStranger(
        new Workplace(cleanup, { isFresh: true }),
        `echo secret | $TARTLET login --username me --password-stdin 127.0.0.1:${registry.port}; echo "exit $?"`,
      );
      expect(stdout, stderr).toBe('exit 1\n');
      expect(stderr).toContain('next: set DOCKER_CONFIG or HOME to the absolute path of a directory\n');
    });
  });

  describe('a working directory that was deleted (D31)', () => {
    async function nowhere(workplace: Workplace, script: string): Promise<Ran> {
      const directory = `${workplace.directory}/gone`;
      mkdirSync(directory);
      return workplace.shell(`cd ${directory} && rmdir ${directory} || exit 99\n${script}`);
    }

    it('pull, push, clone and demo do their work in threads all the same', async () => {
      const workplace = new Workplace(cleanup);
      const { exitCode, stderr } = await nowhere(
        workplace,
        `$TARTLET pull ${name} && $TARTLET clone ${name} copy && $TARTLET push copy ${name.replace(':1', ':2')} && $TARTLET demo`,
      );
      expect(exitCode, stderr).toBe(0);
      expect(await workplace.names()).toContain('copy');
    });

    it('absolute paths can be exported to, imported from and served', async () => {
      const workplace = new Workplace(cleanup);
      const archive = `${workplace.directory}/vm.tar`;
      await createVm(workplace, 'vm');
      const { exitCode, stderr } = await nowhere(
        workplace,
        `$TARTLET export vm ${archive} && $TARTLET import ${archive} again || exit
coproc SERVER { exec $TARTLET serve --data ${workplace.directory}/data --listen 127.0.0.1:0 2>/dev/null; }
pid=$SERVER_PID; read -r -u "\${SERVER[0]}" url && kill "$pid" && wait "$pid"`,
      );
      expect(exitCode, stderr).toBe(0);
      expect(await workplace.names()).toEqual(['again', 'vm']);
    });

    it('a relative path is refused, with the way out', async () => {
      const { stdout, stderr } = await nowhere(sender, `$TARTLET export vm here.tar; echo "exit $?"`);
      expect(stdout, stderr).toBe('exit 1\n');
      expect(stderr).toBe(
        'error[NOT_FOUND]: the working directory is not there any more.\n' +
          'next: change to a directory that exists, or give absolute paths\n',
      );
    });
  });
});
