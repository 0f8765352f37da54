/**
 * Names of QEMU's files in the directory of a machine. Sockets have short relative names: an address has room for 108
 * bytes.
 */
export const QemuFile = {
  monitor: 'qmp.sock',
  /** The monitor for other commands than the one that runs the machine, one at a time. */
  requests: 'requests.sock',
  agent: 'qga.sock',
  memory: 'memory.sock',
  log: 'serial.log',
} as const;

/** Those that are sockets. They are of no use when the machine has ended. */
export const QEMU_SOCKETS = [QemuFile.monitor, QemuFile.requests, QemuFile.agent, QemuFile.memory] as const;
