import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';

/** Where a pretended QEMU stays for as long as it is let. */
export type HeldPhase = 'starting' | 'firmware' | 'up' | 'suspending' | 'resuming' | 'hanging';

/** How long a lazy guest that gets no disk of its own waits until it turns itself off, in milliseconds. */
const NO_DISK_MS = 6000;

/*
 * What a `run` says to QEMU in all phases of its life, and as little of what QEMU answers as it takes
 * (docs/interop/qmp-spec.txt of QEMU). A guest in its firmware does not hear the power button; one that is up turns
 * itself off. In the phase `mirroring` it says that it copies a lazy disk, for a guest that wrote nothing, and the guest
 * turns itself off afterwards.
 */
const SCRIPT = `
const fs = require('node:fs');
const net = require('node:net');
const argv = process.argv.slice(2);
const phase = process.env.PRETENDED_PHASE;
const reached = () => fs.writeFileSync(process.env.PRETENDED_MARK, '');
if (argv[0] === '--version') {
  console.log('QEMU emulator version 7.2.22');
  process.exit(0);
}
if (argv.join(' ').includes('accel=kvm')) {
  console.error('kvm: not here');
  process.exit(1);
}
const isResumed = argv.includes('-incoming');
let moved = 'active';
let job = 'created';
let leaving;
const powerOff = (tell) => {
  tell({ event: 'SHUTDOWN', data: { guest: true } });
  setImmediate(() => process.exit(0));
};
const commands = {
  'blockdev-add': () => clearTimeout(leaving),
  'blockdev-mirror': () => (job = 'ready'),
  'job-complete': () => (job = 'pending'),
  'job-finalize': () => (job = 'concluded'),
  'job-cancel': () => (job = 'concluded'),
  'query-jobs': () => [{ id: 'replace-disk', status: job }],
  'blockdev-del': (tell) => setTimeout(() => powerOff(tell), 20),
  'query-status': () => {
    if (isResumed && phase === 'resuming') reached();
    return { status: isResumed && phase === 'resuming' ? 'inmigrate' : 'paused' };
  },
  'query-migrate': () => ({ status: moved }),
  migrate: () => {
    const socket = net.connect('memory.sock');
    socket.on('error', () => undefined);
    if (phase === 'suspending') socket.write('half a memory', reached);
    else socket.end('memory', () => (moved = 'completed'));
  },
  'migrate-incoming': () => net.createServer((socket) => socket.resume()).listen('memory.sock'),
  system_powerdown: (tell) => {
    if (phase !== 'up' && phase !== 'suspending') return;
    powerOff(tell);
  },
  quit: () => phase === 'hanging' || setImmediate(() => process.exit(0)),
  qmp_capabilities: (tell) => {
    if (phase === 'mirroring')
      leaving = setTimeout(() => powerOff(tell), argv.join(' ').includes('lazy.qcow2') ? ${NO_DISK_MS} : 20);
    if (['firmware', 'up', 'hanging'].includes(phase)) reached();
  },
};
process.on('SIGTERM', () => process.exit(0));
if (phase === 'starting') {
  reached();
  setInterval(() => undefined, 1000);
} else {
  net
    .createServer((socket) => {
      const tell = (message) => socket.write(JSON.stringify(message) + '\\n');
      let text = '';
      tell({ QMP: {} });
      socket.on('error', () => undefined);
      socket.on('data', (piece) => {
        const lines = (text + piece).split('\\n');
        text = lines.pop();
        for (const line of lines) {
          const { execute, id } = JSON.parse(line);
          const answer = commands[execute]?.(tell);
          tell({ return: execute.startsWith('query-') ? answer : {}, id });
        }
      });
    })
    .listen('qmp.sock');
}
`;

/** Puts a pretended QEMU into a directory for `PATH`. */
export function plantPretendQemu(directory: string): void {
  mkdirSync(directory);
  const program = `${directory}/qemu-system-x86_64`;
  writeFileSync(program, `#!${process.execPath}\n${SCRIPT}`);
  chmodSync(program, 0o755);
}
