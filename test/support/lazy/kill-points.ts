import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type LazyLife, tryKill } from './lazy-life.ts';

/** A moment at which something is killed. */
export interface KillPoint {
  readonly name: string;
  /** Of those of `npm test`. */
  readonly isQuick?: true;
  /**
   * Begins what is to be killed, and kills it.
   * @param chance from 0 to 1, another one each time: where in the moment, and which process of two.
   */
  hit(life: LazyLife, chance: number): Promise<void>;
}

/** Which of two processes dies. */
const victim = (chance: number): 'run' | 'qemu' => (Math.floor(chance * 1000) % 2 === 0 ? 'run' : 'qemu');

/** Kills when QEMU tells something of the copy of the disk, or of the guest. */
function whenTold(what: string, afterMs: number): KillPoint['hit'] {
  return async (life, chance) => {
    life.registry.heldFrom = Number.POSITIVE_INFINITY;
    life.begin({ noisy: true });
    let isTold = false;
    await life.listen((told) => {
      isTold ||= told.kind === 'job' ? told.status === what : told.kind === what;
    });
    await life.until(() => isTold || life.isWhole);
    await delay(chance * afterMs);
    await life.kill(victim(chance));
  };
}

/** Kills between the rename that commits the disk and QEMU's going over to it. */
async function betweenCommitAndFinalize(life: LazyLife, chance: number): Promise<void> {
  life.registry.heldFrom = Number.POSITIVE_INFINITY;
  life.begin({ noisy: true });
  await life.untilEntry(/^disk\.img$/);
  const { qemu } = life;
  // Held still no sooner: a run that does not hear of the end of the copy does not commit.
  if (qemu !== undefined) tryKill(qemu, 'SIGSTOP');
  await life.kill(victim(chance));
}

/** Until so much of the disk was sent; what comes after is held back. */
async function fillTo(life: LazyLife, share: number): Promise<void> {
  const { registry } = life;
  registry.heldFrom = Math.round(registry.blobCount * share);
  await life.until(() => registry.answered >= registry.heldFrom);
}

/** Before the image is here, in their order. */
const EARLY: readonly KillPoint[] = [
  {
    name: 'clone',
    async hit(life, chance) {
      const cloning = life.user.start('clone', '--lazy=always', life.name, 'ci');
      await delay(200 + chance * 600);
      cloning.kill('SIGKILL');
      await cloning.ended;
      if (!existsSync(life.at('config.json'))) await life.clone();
    },
  },
  {
    name: 'before the first read',
    async hit(life, chance) {
      life.begin();
      await delay(100 + chance * 900);
      await life.kill('run');
    },
  },
  {
    name: 'the guest starts',
    async hit(life, chance) {
      life.begin();
      await life.listen(() => undefined);
      await delay(chance * 1500);
      await life.kill(victim(chance));
    },
  },
  {
    name: 'the disk fills',
    isQuick: true,
    async hit(life, chance) {
      life.begin();
      await fillTo(life, 0.2 + chance * 0.2);
      await life.kill(victim(chance));
    },
  },
  {
    name: 'the guest writes while the disk fills',
    isQuick: true,
    async hit(life, chance) {
      life.registry.heldFrom = Math.round(life.registry.blobCount * 0.8);
      life.begin({ noisy: true });
      await life.untilWritten(10 + Math.round(chance * 10));
      await life.kill(victim(chance));
    },
  },
  {
    name: 'a pull beside it',
    async hit(life, chance) {
      life.registry.heldFrom = Math.round(life.registry.blobCount * 0.85);
      const pulling = life.user.start('pull', life.name);
      await delay(chance * 500);
      life.begin();
      await fillTo(life, 0.85 + chance * 0.05);
      pulling.kill('SIGKILL');
      await pulling.ended;
      // Another one goes on with it.
      await fillTo(life, 0.92);
      await life.kill(victim(chance));
    },
  },
];

/** From then on. Each may make the disk whole. */
const LATE: readonly KillPoint[] = [
  {
    name: 'the image is published',
    async hit(life, chance) {
      life.begin();
      life.registry.heldFrom = Number.POSITIVE_INFINITY;
      await life.until(() => life.registry.answered >= life.registry.blobCount || life.isWhole);
      await delay(chance * 100);
      await life.kill('run');
    },
  },
  {
    name: 'the image is copied',
    async hit(life, chance) {
      life.registry.heldFrom = Number.POSITIVE_INFINITY;
      life.begin();
      await life.untilEntry(/^\.lazy-disk\.img$/);
      await delay(chance * 40);
      await life.kill(victim(chance));
    },
  },
  { name: 'the copy begins', hit: whenTold('running', 10) },
  { name: 'the copy is there', isQuick: true, hit: whenTold('ready', 100) },
  { name: 'the guest stands still', hit: whenTold('stop', 5) },
  { name: 'the copy has come to its end', hit: whenTold('pending', 2) },
  { name: 'between the commit and the finish', isQuick: true, hit: betweenCommitAndFinalize },
  { name: 'the guest has gone over', hit: whenTold('concluded', 4) },
  { name: 'what is left is removed', hit: whenTold('resume', 10) },
];

export const QUICK_POINTS = [...EARLY, ...LATE].filter(({ isQuick }) => isQuick === true);

/** Those of one life of several: of the late ones each is the first one in its turn. */
export function pointsOf(life: number): readonly KillPoint[] {
  const first = life % LATE.length;
  return [...EARLY, ...LATE.slice(first), ...LATE.slice(0, first)];
}
