import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf, plantVm } from '../support/home.ts';
import { needsOwnMounts } from '../support/own-mounts.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { type Ran, Workplace } from '../support/real-command.ts';
import { partPath } from '../support/real-parts.ts';
import type { RealRegistry } from '../support/real-registry.ts';
import { startSeededRegistry } from '../support/real-seed.ts';

const A = digestOf('a');
const B = digestOf('b');
const C = digestOf('c');

describe('entries of a home that cannot be looked at (D32)', () => {
  const cleanup = new Cleanup();
  let registry: RealRegistry;
  let remote: string;

  beforeAll(async () => {
    ({ registry, name: remote } = await startSeededRegistry(cleanup));
  });
  afterAll(async () => cleanup.run());

  /** A home with a VM `good`, and images in two repositories of one registry. */
  class SharedHome {
    readonly workplace = new Workplace(cleanup);
    readonly images = `${this.workplace.home}/cache/OCIs/registry.corp%3A8221`;
    readonly #closed: string[] = [];

    constructor() {
      plantVm(this.workplace.vmDirectory('good'));
      plantVm(this.workplace.vmDirectory('theirs'));
      for (const [place, digest, tag] of [
        ['macos/base', A, '14'],
        ['macos/base', B, '15'],
        ['other/base', C, '1'],
      ] as const) {
        plantVm(`${this.images}/${place}/${digest}`);
        symlinkSync(`${this.images}/${place}/${digest}`, `${this.images}/${place}/${tag}`);
      }
      cleanup.add(() => {
        for (const place of this.#closed) if (existsSync(place)) chmodSync(place, 0o700);
      });
    }

    /** As if another user had it for themselves. */
    close(place: string): void {
      chmodSync(place, 0);
      this.#closed.push(place);
    }

    /** Root may read everything; as an ordinary user of a namespace it may not. */
    async asUser(script: string): Promise<Ran> {
      const user = ['--map-user=1000', '--map-group=1000'];
      return this.workplace.shell(script, [partPath('unshare'), '-U', ...user]);
    }
  }

  /** How often each entry is named on stderr as passed over. */
  function passedOver({ stderr }: Ran): string[] {
    return [...stderr.matchAll(/^(\S+): passed over: cannot /gm)].map(([, entry]) => entry ?? '');
  }

  describe('a symlink in vms/ that leads to itself', () => {
    let at: SharedHome;
    let loop: string;
    beforeEach(() => {
      at = new SharedHome();
      loop = at.workplace.vmDirectory('loop');
      symlinkSync('loop', loop);
    });

    it.for([
      ['list', '$TARTLET list -q | head -2', 'good\ntheirs\n'],
      ['a clone of a VM', '$TARTLET clone good copy && echo done', 'done\n'],
      ['a clone of an image', '$TARTLET clone registry.corp:8221/macos/base:14 copy && echo done', 'done\n'],
      ['prune', '$TARTLET prune --entries vms --older-than 0 2>&1 | grep -c "^deleted"', '2\n'],
      ['push', '$TARTLET push good REMOTE-2 && echo done', 'done\n'],
      ['pull', '$TARTLET pull REMOTE && echo done', 'done\n'],
      ['set', '$TARTLET set good --cpu 6 && echo done', 'done\n'],
    ] as const)('%s does its work', async ([, script, expected]) => {
      const ran = await at.workplace.shell(script.replace('REMOTE', remote));
      expect(ran.stdout, ran.stderr).toBe(expected);
      // A command that does not look at it need not name it.
      expect([[], [loop]]).toContainEqual(passedOver(ran));
    });

    it('list names it once, and doctor finds it and goes on', async () => {
      const listed = await at.workplace.run('list');
      expect(listed.stderr).toBe(
        `${loop}: passed over: cannot look at ${loop}/config.json: ELOOP: too many symbolic links encountered\n`,
      );
      const { exitCode, stdout, stderr } = await at.workplace.run('doctor', '--format', 'json');
      expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: '' });
      const { findings } = JSON.parse(stdout) as { findings: { id: string; path: string; name: string | null }[] };
      expect(findings.filter(({ id }) => id === 'unreadable')).toMatchObject([{ path: loop, name: 'loop' }]);
      expect(findings.filter(({ id }) => id === 'manifest-missing')).toHaveLength(3);
    });

    it('asked for by its name, it is the failure', async () => {
      const { exitCode, stderr } = await at.workplace.run('clone', 'loop', 'copy');
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/^error\[DISK_IO\]: cannot look at \S+\/loop\/config\.json: ELOOP/m);
    });
  });

  describe('of another user', () => {
    it('a VM, an image and a repository are passed over, and everything else is listed and cloned', async (context) => {
      needsOwnMounts(context);
      const at = new SharedHome();
      const closed = [at.workplace.vmDirectory('theirs'), `${at.images}/macos/base/${B}`, `${at.images}/other/base`];
      for (const each of closed) at.close(each);
      const listed = await at.asUser('$TARTLET list -q');
      expect(listed.stdout, listed.stderr).toBe(
        `good\nregistry.corp:8221/macos/base:14\nregistry.corp:8221/macos/base@${A}\n`,
      );
      expect(passedOver(listed).sort()).toEqual([...closed].sort());
      expect(listed.stderr).toContain(`${closed[1]}: passed over: cannot look at ${closed[1]}/config.json: EACCES`);

      const ran = await at.asUser(
        `$TARTLET clone good one && $TARTLET clone registry.corp:8221/macos/base:14 two && $TARTLET pull ${remote} &&
$TARTLET push one ${remote}-3 && $TARTLET list -q | head -3`,
      );
      expect(ran.stdout, ran.stderr).toBe(
        `127.0.0.1:${registry.port}/team/base:1\n`.replace(/^.*\n/, 'good\none\ntwo\n'),
      );

      const named = await at.asUser('$TARTLET clone registry.corp:8221/macos/base:15 three; echo "exit $?"');
      expect(named.stdout).toBe('exit 1\n');
      expect(named.stderr).toMatch(/^error\[DISK_DENIED\]: cannot look at \S+\/config\.json: EACCES/m);
    });

    it('doctor reports each as unreadable, and nothing as damaged', async (context) => {
      needsOwnMounts(context);
      const at = new SharedHome();
      const disk = `${at.images}/macos/base/${A}/disk.img`;
      const closed = [
        at.workplace.vmDirectory('theirs'),
        `${at.images}/macos/base/${B}`,
        `${at.images}/other/base`,
        disk,
      ];
      for (const each of closed) at.close(each);
      for (const deep of ['', '--deep', '--fix']) {
        const { stdout, stderr } = await at.asUser(`$TARTLET doctor ${deep} --format json; exit 0`);
        const { findings } = JSON.parse(stdout) as { findings: { id: string; severity: string; path: string }[] };
        const damage = findings.filter(({ severity }) => severity === 'damage');
        expect(damage.map(({ id, path }) => `${id} ${path}`).sort(), stderr).toEqual(
          closed.map((each) => `unreadable ${each}`).sort(),
        );
      }
      expect(readdirSync(`${at.images}/macos/base`).sort()).toEqual(['14', '15', A, B]);
    });

    it('a clone of an image whose disk may not be read names that disk, and is no reason to fetch it', async (context) => {
      needsOwnMounts(context);
      const at = new SharedHome();
      const disk = `${at.images}/macos/base/${A}/disk.img`;
      at.close(disk);
      const { stdout, stderr } = await at.asUser(
        '$TARTLET clone registry.corp:8221/macos/base:14 copy; echo "exit $?"',
      );
      expect(stdout).toBe('exit 1\n');
      expect(stderr).toMatch(
        new RegExp(`^error\\[DISK_DENIED\\]: cannot read ${disk}: EACCES: permission denied\\.$`, 'm'),
      );
    });

    it('a pull takes what it can from other images, and passes over a seed that may not be read', async (context) => {
      needsOwnMounts(context);
      const at = new SharedHome();
      const seed = remote.replace('team/', 'seed/');
      await at.workplace.run('copy', remote, seed);
      await at.workplace.run('pull', seed);
      at.close(`${at.workplace.home}/cache/OCIs/127.0.0.1%3A${registry.port}/seed/base`);
      const ran = await at.asUser(`$TARTLET pull ${remote} && echo done`);
      expect(ran.stdout, ran.stderr).toBe('done\n');
    });

    it('a repository that cannot be read may name any image: none is collected, and a deleted tag keeps its image', async (context) => {
      needsOwnMounts(context);
      const at = new SharedHome();
      await at.workplace.run('list'); // Seen for the first time with its tag: what has none then is protected.
      rmSync(`${at.images}/macos/base/15`);
      at.close(`${at.images}/other/base`);
      const past = 'touch -h -a -m -d "2 days ago"';
      const { stdout, stderr } = await at.asUser(
        `${past} ${at.images}/macos/base/${B}
$TARTLET prune --gc; echo "exit $?"; $TARTLET delete registry.corp:8221/macos/base:14; echo "exit $?"`,
      );
      expect(stdout, stderr).toBe('exit 0\nexit 0\n');
      expect(readdirSync(`${at.images}/macos/base`).sort()).toEqual([A, B]);

      chmodSync(`${at.images}/other/base`, 0o700);
      const again = await at.asUser(`${past} ${at.images}/macos/base/*; $TARTLET prune --gc; echo "exit $?"`);
      expect(again.stdout, again.stderr).toBe('exit 0\n');
      expect(existsSync(`${at.images}/macos/base/${B}`)).toBe(false);
    });

    it('a tag that leads into a closed directory is no dangling one', async (context) => {
      needsOwnMounts(context);
      const at = new SharedHome();
      mkdirSync(`${at.images}/alias`);
      symlinkSync(`${at.images}/other/base/${C}`, `${at.images}/alias/tag`);
      at.close(`${at.images}/other/base`);
      const { stdout, stderr } = await at.asUser('$TARTLET prune --gc; $TARTLET doctor --fix >/dev/null; echo end');
      expect(stdout, stderr).toBe('end\n');
      expect(readdirSync(`${at.images}/alias`)).toEqual(['tag']);
    });

    it('what others left in tmp/, and its lock, keeps no command from working', async (context) => {
      needsOwnMounts(context);
      const at = new SharedHome();
      const name = 'tartlet-00000000-0000-4000-8000-000000000000';
      const lock = `${at.workplace.home}/cache/.locks/${name}.lock`;
      mkdirSync(`${at.workplace.home}/tmp/${name}`, { recursive: true });
      mkdirSync(`${at.workplace.home}/cache/.locks`, { recursive: true });
      const { stdout, stderr } = await at.asUser(`: > ${lock}; chmod 0 ${lock}; $TARTLET clone good copy && echo done`);
      expect(stdout, stderr).toBe('done\n');
    });
  });
});
