import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { startMeddlingRegistry } from '../support/meddling-registry.ts';
import { plantInRegistry } from '../support/planted-image.ts';
import { noise, tinyStackedImage } from '../support/stacked-image.ts';
import type { Place } from './place.ts';
import type { Invocation } from './strace.ts';

/** A command on a machine where nothing is yet, so that every directory above what it publishes is new. */
export interface First {
  readonly name: string;
  /** Puts up what it needs, below a directory that is empty. */
  prepare(place: Place, empty: string): Invocation | Promise<Invocation>;
  /** What was published when it has ended, below that directory. */
  published(place: Place): readonly string[];
}

/** TART_HOME in the empty directory, two levels down. */
export const firstHome = (empty: string): string => path.join(empty, 'deep/home');

function inFirstHome(place: Place, empty: string, ...args: readonly string[]): Invocation {
  const { argv, environment } = place.command(...args);
  return { argv, environment: { ...environment, TART_HOME: firstHome(empty) } };
}

const tagIn = (place: Place, cache: string): string =>
  `${cache}/OCIs/${place.address.replace(':', '%3A')}/team/base/old`;

const pull: First = {
  name: 'pull',
  prepare: (place, empty) => inFirstHome(place, empty, 'pull', place.name('team/base:old')),
  published: (place) => [tagIn(place, 'deep/home/cache')],
};

/** The cache is a link to a directory elsewhere, which is not there (tart-cli §6.1). */
const pullElsewhere: First = {
  name: 'pull into a linked cache',
  prepare: (place, empty) => {
    mkdirSync(firstHome(empty), { recursive: true });
    symlinkSync(path.join(empty, 'other/disk/cache'), path.join(firstHome(empty), 'cache'));
    return pull.prepare(place, empty);
  },
  published: (place) => [tagIn(place, 'other/disk/cache')],
};

const pullStacked: First = {
  name: 'pull of a stacked image',
  prepare: async (place, empty) => {
    const registry = await startMeddlingRegistry();
    const levels = [[noise(8192, 4)], [noise(4096, 6)]];
    await plantInRegistry(registry, 'macos/stacked', 'latest', tinyStackedImage({ levels }));
    return inFirstHome(place, empty, 'pull', `${registry.at}/macos/stacked`);
  },
  published: () => ['deep/home/cache/content/sha256'],
};

const clone: First = {
  name: 'clone',
  prepare: (place, empty) => inFirstHome(place, empty, 'clone', place.name('team/base:old'), 'copy'),
  published: (place) => [tagIn(place, 'deep/home/cache'), 'deep/home/vms/copy/disk.img'],
};

const create: First = {
  name: 'create',
  prepare: (place, empty) => inFirstHome(place, empty, 'create', '--linux', '--disk-size', '1', 'vm'),
  published: () => ['deep/home/vms/vm/disk.img'],
};

const login: First = {
  name: 'login',
  prepare: (place, empty) => {
    const args = ['login', place.address, '--username', 'ci', '--password-stdin', '--no-validate'];
    const { argv, environment } = place.command(...args);
    const DOCKER_CONFIG = path.join(empty, 'deep/docker');
    return { argv, environment: { ...environment, DOCKER_CONFIG }, input: 'secret\n' };
  },
  published: () => ['deep/docker/config.json'],
};

/** Every command that may be the first one, and publishes. */
export const FIRSTS: readonly First[] = [pull, pullElsewhere, pullStacked, clone, create, login];
