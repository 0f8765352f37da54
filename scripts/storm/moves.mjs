/**
 * What a storm (`storm.mjs`) does. Each move is a command, and says what its exit status 0 promises (reliability I10).
 * VMs named `own-…` belong to one thread of the storm, which therefore knows how they must be; those named `shared-…`
 * belong to all.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { judgeExport, judgeVm } from './oracle.mjs';
import { point } from './place.mjs';

const GB = 10 ** 9;
const SHARED = ['shared-1', 'shared-2', 'shared-3'];

/** Each with how often it comes. `own`: only while this thread has a VM (true) or none (false). */
const MOVES = [
  { often: 6, make: pull },
  { often: 2, make: pullByDigest },
  { often: 1, make: moveTag },
  { often: 4, make: cloneShared },
  { often: 6, make: cloneOwn },
  { often: 3, make: cloneOfOwn },
  { often: 3, make: setOwn },
  { often: 1, make: growOwn },
  { often: 3, make: setShared },
  { often: 3, make: exportOwn },
  { often: 3, make: exportShared },
  { often: 3, make: exportImage },
  { often: 3, make: deleteOwn },
  { often: 3, make: deleteShared },
  { often: 4, make: deleteImage },
  { often: 3, make: prune },
  { often: 2, make: doctor },
  { often: 2, make: getShared },
  { often: 2, make: inspectShared },
  { often: 2, make: inspectImage },
  { often: 1, make: fqn },
  { often: 2, make: list },
  { often: 2, make: renameShared },
  { often: 2, make: pushOwn },
  { often: 2, make: pushShared },
  { often: 2, make: pushImage },
];
const BAG = MOVES.flatMap(({ often, make }) => Array(often).fill(make));

/** @returns `command`, and `check`, which looks after exit status 0 and gives findings. */
export function nextMove(thread) {
  return thread.pick(BAG)(thread);
}

const tagOf = ({ pick }, place) => `${place.repository}:${pick(['v1', 'v2', 'v3', 'v4', 'moving'])}`;
/** Not the pinned one, which must stay. */
const looseTagOf = ({ pick }, place) => `${place.repository}:${pick(['v2', 'v3', 'v4', 'moving'])}`;
const none = () => [];

function pull(thread) {
  return { command: ['pull', tagOf(thread, thread.place)], check: none };
}

function pullByDigest({ place, pick }) {
  return { command: ['pull', `${place.repository}@sha256:${pick(place.versions.slice(1)).digest}`], check: none };
}

/** Then another pull: the tag has moved. */
function moveTag({ place, pick }) {
  return {
    before: () => point(place, 'moving', pick(place.versions)),
    command: ['pull', `${place.repository}:moving`],
    check: none,
  };
}

function cloneShared(thread) {
  return { command: ['clone', tagOf(thread, thread.place), thread.pick(SHARED)], check: none };
}

function cloneOwn({ place, own, pick }) {
  const version = pick(place.versions);
  const expected = { version, length: version.files['disk.img'].length };
  return {
    command: ['clone', `${place.repository}:${version.name}`, own],
    check: () => whole(place, own, expected),
  };
}

/** From the VM of this thread, and back: the copy replaces it. */
function cloneOfOwn({ place, own }) {
  const copy = `${own}-copy`;
  const before = lookAt(place, own);
  return { command: ['clone', own, copy], check: () => (before === undefined ? [] : whole(place, copy, before)) };
}

function setOwn({ place, own, pick }) {
  const cpu = pick([4, 5, 6, 7, 8]);
  const before = lookAt(place, own);
  return {
    command: ['set', own, '--cpu', String(cpu)],
    check: () => (before === undefined ? [] : whole(place, own, { ...before, cpu })),
  };
}

function growOwn({ place, own }) {
  const before = lookAt(place, own);
  return {
    command: ['set', own, '--disk-size', '1'],
    check: () => (before === undefined ? [] : whole(place, own, { ...before, length: GB })),
  };
}

function setShared({ pick }) {
  return { command: ['set', pick(SHARED), '--memory', pick(['4096', '8192'])], check: none };
}

function exported({ place, own }, name) {
  const file = path.join(place.out, `${own}.tar`);
  return { command: ['export', name, file], check: () => judgeExport(file, place.versions) };
}

function exportOwn(thread) {
  const { place, own } = thread;
  const before = lookAt(place, own);
  // What was grown to a gigabyte takes seconds to read and tells nothing new.
  return before !== undefined && before.length >= GB ? deleteOwn(thread) : exported(thread, own);
}

function exportShared(thread) {
  return exported(thread, thread.pick(SHARED));
}

function exportImage(thread) {
  return exported(thread, tagOf(thread, thread.place));
}

function deleteOwn({ place, own }) {
  const at = path.join(place.home, 'vms', own);
  return { command: ['delete', own], check: () => (existsSync(at) ? [`I10: ${own} is there after its deletion`] : []) };
}

function deleteShared({ pick }) {
  return { command: ['delete', pick(SHARED)], check: none };
}

function deleteImage(thread) {
  return { command: ['delete', looseTagOf(thread, thread.place)], check: none };
}

function prune({ pick }) {
  return {
    command: [
      'prune',
      ...pick([
        ['--space-budget', '0'],
        ['--older-than', '0'],
        ['--gc', '--older-than', '30'],
      ]),
    ],
    check: none,
  };
}

function doctor({ pick }) {
  return { command: ['doctor', '--fix', ...pick([[], ['--deep']])], mayFind: true, check: none };
}

function getShared({ pick }) {
  return { command: ['get', pick(SHARED)], check: none };
}

function inspectShared({ pick }) {
  return { command: ['inspect', pick(SHARED)], check: none };
}

function inspectImage(thread) {
  return { command: ['inspect', tagOf(thread, thread.place)], check: none };
}

function fqn(thread) {
  return { command: ['fqn', tagOf(thread, thread.place)], check: none };
}

function list() {
  return { command: ['list'], check: none };
}

function renameShared({ pick }) {
  // A name that is taken is wrong usage, as in Tart.
  return { command: ['rename', pick(SHARED), pick(SHARED)], check: none, mayEnd: 'USAGE' };
}

function pushed({ place, own }, name) {
  return { command: ['push', name, `${place.repository}:from-${own}`], check: none };
}

function pushOwn(thread) {
  const before = lookAt(thread.place, thread.own);
  return before !== undefined && before.length >= GB ? deleteOwn(thread) : pushed(thread, thread.own);
}

function pushShared(thread) {
  return pushed(thread, thread.pick(SHARED));
}

function pushImage(thread) {
  return pushed(thread, tagOf(thread, thread.place));
}

/** How a VM of this thread is before a move; undefined when there is none. */
function lookAt({ home, versions }, name) {
  const at = path.join(home, 'vms', name);
  if (!existsSync(at)) return undefined;
  const { version, length } = judgeVm(at, versions);
  return version === undefined ? undefined : { version, length };
}

/** What a command that ended with 0 has promised of a VM. */
function whole({ home, versions }, name, { version, length, cpu }) {
  const at = path.join(home, 'vms', name);
  if (!existsSync(at)) return [`I10: ${name} is not there, although it was made`];
  const found = judgeVm(at, versions);
  if (found.version === undefined) return found.findings;
  const config = JSON.parse(readFileSync(path.join(at, 'config.json'), 'utf8'));
  return [
    ...(found.version === version ? [] : [`I6: ${name} is ${found.version.name} and not ${version.name}`]),
    ...(found.length === length ? [] : [`I10: the disk of ${name} has ${found.length} bytes and not ${length}`]),
    ...(cpu === undefined || config.cpuCount === cpu
      ? []
      : [`I10: ${name} has ${config.cpuCount} processors, not ${cpu}`]),
  ];
}
