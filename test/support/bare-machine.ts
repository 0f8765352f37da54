import { copyFileSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';

/** The size of its screen: by VNC the width is a multiple of 16. */
export const SCREEN = { width: 960, height: 720 };

/** A VM with nothing on its disk: its firmware starts within seconds, shows itself on the screen, and waits. */
export function plantBareMachine(vmDirectory: string, arch: 'amd64' | 'arm64' = 'amd64', more: object = {}): void {
  mkdirSync(vmDirectory, { recursive: true });
  const memory = 256 * 1024 * 1024;
  const config = {
    version: 1,
    os: 'linux',
    arch,
    cpuCountMin: 1,
    cpuCount: 1,
    memorySizeMin: memory,
    memorySize: memory,
    macAddress: '52:55:0a:00:02:01',
    diskFormat: 'raw',
    display: SCREEN,
    ...more,
  };
  writeFileSync(`${vmDirectory}/config.json`, JSON.stringify(config));
  writeFileSync(`${vmDirectory}/disk.img`, '');
  truncateSync(`${vmDirectory}/disk.img`, 1024 * 1024);
  if (arch === 'amd64') copyFileSync('/usr/share/OVMF/OVMF_VARS_4M.fd', `${vmDirectory}/nvram.bin`);
  else writeFileSync(`${vmDirectory}/nvram.bin`, Buffer.alloc(768 * 1024));
}
